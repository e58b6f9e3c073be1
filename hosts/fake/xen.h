/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Xen front in user space: frames from an arena, no scheduler. A test plays the guests: it
 * makes hypercalls for a vCPU, on its own thread. fake_xen_start first, after fake_reset.
 */
#ifndef HOSTS_FAKE_XEN_H
#define HOSTS_FAKE_XEN_H

#include "bv/types.h"
#include "fronts/xen/xen.h"

/* Lets there be so many frames of RAM, and starts the front. */
void fake_xen_start(u64 frames);
/* Ends the front; what was not given back ends the process. */
void fake_xen_stop(void);

/* Frames that somebody has. */
u64 fake_xen_frames(void);
/* The n-th allocation of frames from now fails, and all after it; 0: none. */
void fake_xen_fail_frames_after(u64 n);
/* Things put off by bvx_host_work are done now; also at the end of each hypercall. */
void fake_xen_work(void);

/*
 * A hypercall from 64-bit code (or 32-bit) at CPL 0, whose paging is off: addresses are physical.
 */
long fake_hypercall(struct bvx_vcpu *vcpu, u32 nr, u64 a, u64 b, u64 c, u64 d, u64 e);
long fake_hypercall32(struct bvx_vcpu *vcpu, u32 nr, u32 a, u32 b, u32 c, u32 d, u32 e);

/* What was put out on the console since the start (the newest part of it). */
const char *fake_xen_console(void);
void fake_xen_type(const char *text);
/* How the machine was told to end: -1 not at all. */
int fake_xen_ended(void);
/* What the loader has left as the display; none without this. */
void fake_xen_screen(const struct bvx_screen *screen);
/* Called where a vCPU waits and nothing is left that could end it; NULL: that is a mistake. */
extern void (*fake_xen_idle)(void);
/* The body of the vCPU's thread: returns when the vCPU is ended. */
void fake_xen_run(struct bvx_vcpu *vcpu);

#endif
