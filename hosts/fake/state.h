/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of hosts/fake alone. */
#ifndef HOSTS_FAKE_STATE_H
#define HOSTS_FAKE_STATE_H

#include "hosts/fake/fake.h"

/* Ends the process: the caller broke a contract of bv/host.h. */
_Noreturn void fake_misuse(const char *text);
/* The caller's contract says that it may sleep: no spin lock, interrupts on. */
void fake_may_sleep(const char *function);
/* Timers fire in interrupt context. */
void fake_irq_enter(void);
void fake_irq_exit(void);
/* Spin locks held by this thread. */
unsigned int fake_locks_held(void);

void fake_reset_memory(void);
void fake_reset_time(void);
void fake_reset_vcpus(void);
void fake_reset_log(void);
/* A wait with nobody to wake: moves the clock to the next timer; false: there is none. */
bool fake_clock_jump(void);
void fake_hw_free(struct fake_hw *hw);

#endif
