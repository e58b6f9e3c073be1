/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/*
 * The 8254 timer chip: three counters at 1.193182 MHz, ports 0x40 to 0x43, and port 0x61 with the
 * gate and the output of counter 2. Counter 0 raises gsi 0. Facts: Intel 8254 data sheet.
 *
 * Nothing counts here: a counter's value and output are computed from the time since it was loaded.
 * Only counter 0 has a host timer, for its interrupt. Ticks that the guest could not take are kept
 * in `missed` and given one by one as it acknowledges, where the front wants that (reinject): each
 * is a rising edge that a controller has newly taken in, so that none counts twice.
 */
#include "chips/chips.h"

#define PIT_HZ 1193182ULL
#define PIT_PORT 0x40
#define PIT_PORTS 4
#define PIT_CONTROL 3
#define SPEAKER_PORT 0x61

#define PIT_NO_MODE 0xff
#define PIT_GSI 0
#define PIT_SOURCE 63 /* of the line; fronts use low numbers */
#define PIT_MISSED_MAX 65536u

/* The order in which the bytes of a count pass; 1 to 3 are the control word's. */
enum pit_access {
	ACCESS_LATCH,
	ACCESS_LOW,
	ACCESS_HIGH,
	ACCESS_WORD_LOW,
	ACCESS_WORD_HIGH
};

/* ---- time ---- */

/*
 * By a fraction of 64 bits, rounded up: ticks that pit_ns says are over count. That is early by
 * a nanosecond or two in a year.
 */
static u64 pit_ticks(u64 ns)
{
	const u64 fraction = (u64)(((unsigned __int128)PIT_HZ << 64) / NS_PER_S) + 1;

	return (u64)((unsigned __int128)ns * fraction >> 64);
}

/* Rounded up: after so many nanoseconds, so many ticks have passed. */
static u64 pit_ns(u64 ticks)
{
	return (ticks * NS_PER_S + PIT_HZ - 1) / PIT_HZ;
}

static u64 channel_elapsed(const struct pit_channel *channel)
{
	u64 now = channel->stop_ns ? channel->stop_ns : bv_host_ns();

	return now > channel->load_ns ? pit_ticks(now - channel->load_ns) : 0;
}

static u32 channel_modulus(const struct pit_channel *channel)
{
	return channel->bcd ? 10000 : 65536;
}

static u16 to_bcd(u32 n)
{
	return (u16)(n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12);
}

static u32 from_bcd(u32 bcd)
{
	return (bcd & 15) + (bcd >> 4 & 15) * 10 + (bcd >> 8 & 15) * 100 + (bcd >> 12) * 1000;
}

/* The counting element, as it would be read. */
static u16 channel_count(const struct pit_channel *channel)
{
	u64 elapsed = channel_elapsed(channel);
	u32 modulus = channel_modulus(channel);
	u32 count;

	switch (channel->mode) {
	case 2:
		count = channel->count - (u32)(elapsed % channel->count);
		break;
	case 3: /* counts by two, twice a period */
		count = channel->count - (u32)(2 * elapsed % channel->count);
		break;
	default: /* goes on below zero */
		count = channel->count % modulus + modulus - (u32)(elapsed % modulus);
		break;
	}
	count %= modulus;
	return channel->bcd ? to_bcd(count) : (u16)count;
}

static bool channel_output(const struct pit_channel *channel)
{
	u64 elapsed = channel_elapsed(channel);

	switch (channel->mode) {
	case 0:
		return !channel->null_count && elapsed >= channel->count;
	case 1:
		return elapsed >= channel->count;
	case 2:
		return channel->stop_ns || channel->count - elapsed % channel->count != 1;
	case 3:
		return channel->stop_ns || elapsed % channel->count < (channel->count + 1) / 2;
	case 4:
	case 5:
		return elapsed != channel->count;
	default:
		return false;
	}
}

/* ---- counter 0's interrupt ---- */

/* Raises the line and takes it down again: one edge. As bv_route_line. */
static int pit_pulse(struct bv_pit *pit)
{
	int result = bv_route_line(pit->chips, PIT_GSI, PIT_SOURCE, true);

	bv_route_line(pit->chips, PIT_GSI, PIT_SOURCE, false);
	return result;
}

/* Tries to give the guest one of the ticks that are due to it. */
static void pit_give(struct bv_pit *pit)
{
	int result = pit_pulse(pit);
	u64 flags = bv_host_spin_lock_irq(&pit->lock);

	if (result < 0)
		pit->missed = 0; /* nobody listens: a tick nobody misses */
	else if (result > 0 && pit->missed)
		pit->missed--;
	bv_host_spin_unlock_irq(&pit->lock, flags);
}

static void pit_acked(struct bv_ack_notifier *notifier)
{
	struct bv_pit *pit = BV_CONTAINER(notifier, struct bv_pit, ack);

	if (BV_READ_ONCE(pit->missed))
		pit_give(pit);
}

/* Counts the ticks up to now and sets the timer for the next. Returns whether there was any. */
static bool pit_advance_locked(struct bv_pit *pit)
{
	u64 now = bv_host_ns();
	u64 ticks = 1;

	if (!pit->armed)
		return false;
	if (now < pit->due_ns) {
		bv_host_timer_set(&pit->timer, pit->due_ns);
		return false;
	}
	if (pit->period_ns) {
		ticks += (now - pit->due_ns) / pit->period_ns;
		pit->due_ns += ticks * pit->period_ns;
		bv_host_timer_set(&pit->timer, pit->due_ns);
	} else {
		pit->armed = false;
	}
	if (!pit->reinject)
		pit->missed = 0;
	else if (ticks > PIT_MISSED_MAX - pit->missed)
		pit->missed = PIT_MISSED_MAX;
	else
		pit->missed += (u32)ticks;
	return true;
}

static void pit_fire(struct bv_timer *timer)
{
	struct bv_pit *pit = BV_CONTAINER(timer, struct bv_pit, timer);
	u64 flags = bv_host_spin_lock_irq(&pit->lock);
	bool due = pit_advance_locked(pit);

	bv_host_spin_unlock_irq(&pit->lock, flags);
	if (due)
		pit_give(pit);
}

/* Sets the timer by counter 0's state, as just loaded or restored. */
static void pit_arm_locked(struct bv_pit *pit)
{
	const struct pit_channel *channel = &pit->channel[0];
	u64 period = pit_ns(channel->count);
	u64 now = bv_host_ns();

	pit->missed = 0;
	pit->armed = !pit->hpet_legacy && !channel->null_count &&
		     (channel->mode == 0 || channel->mode == 2 || channel->mode == 3 ||
		      channel->mode == 4);
	if (!pit->armed)
		return;
	pit->due_ns = channel->load_ns + period;
	pit->period_ns = 0;
	if (channel->mode == 2 || channel->mode == 3) {
		if (period < TIMER_MIN_PERIOD_NS)
			period = TIMER_MIN_PERIOD_NS;
		pit->period_ns = period;
		pit->due_ns = channel->load_ns + period;
		if (pit->due_ns <= now)
			pit->due_ns += ((now - pit->due_ns) / period + 1) * period;
	}
	bv_host_timer_set(&pit->timer, pit->due_ns);
}

/* ---- counting ---- */

/* The gate stops these modes while it is low; modes 1 and 5 are started by its rise. */
static bool mode_gated(u8 mode)
{
	return mode != 1 && mode != 5;
}

static void channel_load(struct bv_pit *pit, u32 index, u16 value)
{
	struct pit_channel *channel = &pit->channel[index];
	u32 count = channel->bcd ? from_bcd(value) : value;
	u64 now = bv_host_ns();

	channel->count = count ? count : channel_modulus(channel);
	channel->null_count = false;
	/* Modes 1 and 5 wait for the gate: until then, all is long past. */
	channel->load_ns = mode_gated(channel->mode) ? now : 0;
	channel->stop_ns = mode_gated(channel->mode) && !channel->gate ? now : 0;
	if (index == 0)
		pit_arm_locked(pit);
}

static void channel_set_gate(struct pit_channel *channel, bool gate)
{
	u64 now = bv_host_ns();
	bool rises = gate && !channel->gate;

	if (!gate && channel->gate && mode_gated(channel->mode))
		channel->stop_ns = now;
	channel->gate = gate;
	if (!rises)
		return;
	if (channel->mode == 0 || channel->mode == 4) /* goes on where it stopped */
		channel->load_ns += channel->stop_ns ? now - channel->stop_ns : 0;
	else
		channel->load_ns = now;
	channel->stop_ns = 0;
}

static void channel_latch_count(struct pit_channel *channel)
{
	if (channel->count_latched)
		return;
	channel->latched = channel_count(channel);
	channel->count_latched = channel->rw_mode;
}

static void channel_latch_status(struct pit_channel *channel)
{
	if (channel->status_latched)
		return;
	channel->status = (u8)(channel_output(channel) << 7 | channel->null_count << 6 |
			       channel->rw_mode << 4 | (channel->mode & 7) << 1 | channel->bcd);
	channel->status_latched = true;
}

/* ---- ports ---- */

static void pit_read_back(struct bv_pit *pit, u8 value)
{
	for (u32 i = 0; i < 3; i++) {
		if (!(value & 2 << i))
			continue;
		if (!(value & 0x20))
			channel_latch_count(&pit->channel[i]);
		if (!(value & 0x10))
			channel_latch_status(&pit->channel[i]);
	}
}

static void pit_write_control(struct bv_pit *pit, u8 value)
{
	u32 index = value >> 6;
	u8 access = value >> 4 & 3;
	struct pit_channel *channel = &pit->channel[index];

	if (index == 3) {
		pit_read_back(pit, value);
		return;
	}
	if (access == ACCESS_LATCH) {
		channel_latch_count(channel);
		return;
	}
	channel->rw_mode = channel->read_state = channel->write_state = access;
	channel->count_latched = ACCESS_LATCH;
	channel->mode = value >> 1 & 7;
	if (channel->mode > 5)
		channel->mode -= 4;
	channel->bcd = value & 1;
	channel->null_count = true;
	if (index == 0)
		pit->armed = false;
}

static void channel_write(struct bv_pit *pit, u32 index, u8 value)
{
	struct pit_channel *channel = &pit->channel[index];

	switch (channel->write_state) {
	case ACCESS_LOW:
		channel_load(pit, index, value);
		break;
	case ACCESS_HIGH:
		channel_load(pit, index, (u16)(value << 8));
		break;
	case ACCESS_WORD_LOW:
		channel->write_latch = value;
		channel->write_state = ACCESS_WORD_HIGH;
		break;
	case ACCESS_WORD_HIGH:
		channel_load(pit, index, (u16)(channel->write_latch | value << 8));
		channel->write_state = ACCESS_WORD_LOW;
		break;
	}
}

/* One byte of a count; *state moves on through a word. */
static u8 access_byte(u8 *state, u16 count)
{
	switch (*state) {
	case ACCESS_WORD_LOW:
		*state = ACCESS_WORD_HIGH;
		return (u8)count;
	case ACCESS_WORD_HIGH:
		*state = ACCESS_WORD_LOW;
		return (u8)(count >> 8);
	case ACCESS_HIGH:
		return (u8)(count >> 8);
	default:
		return (u8)count;
	}
}

static u8 channel_read_latched(struct pit_channel *channel)
{
	u8 byte;

	if (channel->count_latched == ACCESS_WORD_LOW) {
		channel->count_latched = ACCESS_HIGH;
		return (u8)channel->latched;
	}
	byte = channel->count_latched == ACCESS_HIGH ? (u8)(channel->latched >> 8) :
						       (u8)channel->latched;
	channel->count_latched = ACCESS_LATCH;
	return byte;
}

static u8 channel_read(struct pit_channel *channel)
{
	if (channel->status_latched) {
		channel->status_latched = false;
		return channel->status;
	}
	if (channel->count_latched)
		return channel_read_latched(channel);
	return access_byte(&channel->read_state, channel_count(channel));
}

static u8 pit_port_read(struct bv_pit *pit, u64 port)
{
	struct pit_channel *speaker = &pit->channel[2];

	if (port ==
	    SPEAKER_PORT) /* bit 4: the memory refresh clock, which toggles about every 16 µs */
		return (u8)(speaker->gate | pit->speaker_data << 1 | (bv_host_ns() >> 14 & 1) << 4 |
			    channel_output(speaker) << 5);
	if (port - PIT_PORT < 3)
		return channel_read(&pit->channel[port - PIT_PORT]);
	return 0; /* the control port is write-only */
}

static void pit_port_write(struct bv_pit *pit, u64 port, u8 value)
{
	if (port == SPEAKER_PORT) {
		pit->speaker_data = value & 2;
		channel_set_gate(&pit->channel[2], value & 1);
	} else if (port - PIT_PORT < 3) {
		channel_write(pit, (u32)(port - PIT_PORT), value);
	} else if (port - PIT_PORT == PIT_CONTROL) {
		pit_write_control(pit, value);
	}
}

static enum bv_access_result pit_bus_read(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					  u64 addr, u32 bytes, void *data)
{
	struct bv_pit *pit = vm_chips(vcpu->vm)->pit;
	u64 flags = bv_host_spin_lock_irq(&pit->lock);

	(void)device;
	for (u32 i = 0; i < bytes; i++)
		((u8 *)data)[i] = pit_port_read(pit, addr + i);
	bv_host_spin_unlock_irq(&pit->lock, flags);
	return BV_ACCESS_DONE;
}

static enum bv_access_result pit_bus_write(struct bv_bus_device *device, struct bv_vcpu *vcpu,
					   u64 addr, u32 bytes, const void *data)
{
	struct bv_pit *pit = vm_chips(vcpu->vm)->pit;
	u64 flags = bv_host_spin_lock_irq(&pit->lock);

	(void)device;
	for (u32 i = 0; i < bytes; i++)
		pit_port_write(pit, addr + i, ((const u8 *)data)[i]);
	bv_host_spin_unlock_irq(&pit->lock, flags);
	return BV_ACCESS_DONE;
}

static const struct bv_bus_ops pit_bus_ops = { .read = pit_bus_read, .write = pit_bus_write };

/* ---- life ---- */

static int pit_attach(struct bv_vm *vm, struct bv_pit *pit)
{
	int error;

	pit->device[0] = (struct bv_bus_device){ &pit_bus_ops, PIT_PORT, PIT_PORTS };
	pit->device[1] = (struct bv_bus_device){ &pit_bus_ops, SPEAKER_PORT, 1 };
	error = bv_bus_add(vm, BV_BUS_PORT, &pit->device[0]);
	if (error || !pit->speaker)
		return error;
	error = bv_bus_add(vm, BV_BUS_PORT, &pit->device[1]);
	if (error)
		bv_bus_del(vm, BV_BUS_PORT, &pit->device[0]);
	return error;
}

static struct bv_pit *pit_alloc(struct bv_chips *chips, bool speaker)
{
	struct bv_pit *pit = bv_host_alloc(sizeof(*pit));

	if (!pit)
		return NULL;
	pit->chips = chips;
	pit->speaker = speaker;
	pit->reinject = true;
	pit->ack.gsi = PIT_GSI;
	pit->ack.acked = pit_acked;
	for (u32 i = 0; i < 3; i++)
		pit->channel[i] = (struct pit_channel){
			.count = 65536,
			.mode = PIT_NO_MODE,
			.gate = i != 2,
			.load_ns = bv_host_ns(),
		};
	bv_host_spin_init(&pit->lock);
	bv_host_timer_init(&pit->timer, pit_fire);
	return pit;
}

int bv_pit_create(struct bv_vm *vm, bool speaker)
{
	struct bv_chips *chips = vm_chips(vm);
	int error;

	if (!chips || !chips->full)
		return bv_refuse(&vm->why, BV_ENOENT,
				 "8254: the VM needs an 8259 and an I/O APIC first");
	if (chips->pit)
		return bv_refuse(&vm->why, BV_EEXIST, "8254: the VM has one");
	chips->pit = pit_alloc(chips, speaker);
	if (!chips->pit)
		return bv_refuse(&vm->why, BV_ENOMEM, "8254: no memory");
	error = pit_attach(vm, chips->pit);
	if (error) {
		bv_host_free(chips->pit);
		chips->pit = NULL;
		return bv_refuse(&vm->why, -error, "8254: its ports could not be attached");
	}
	bv_irq_ack_notifier_add(vm, &chips->pit->ack);
	return 0;
}

bool bv_pit_present(struct bv_vm *vm)
{
	return vm_chips(vm) && vm_chips(vm)->pit;
}

/* The timer is disarmed before it is cancelled, so that `fire` does not set it again. */
void bv_pit_free(struct bv_vm *vm)
{
	struct bv_pit *pit = vm_chips(vm)->pit;
	u64 flags;

	if (!pit)
		return;
	if (pit->speaker)
		bv_bus_del(vm, BV_BUS_PORT, &pit->device[1]);
	bv_bus_del(vm, BV_BUS_PORT, &pit->device[0]);
	bv_irq_ack_notifier_del(vm, &pit->ack);
	flags = bv_host_spin_lock_irq(&pit->lock);
	pit->armed = false;
	bv_host_spin_unlock_irq(&pit->lock, flags);
	bv_host_timer_cancel(&pit->timer);
	vm_chips(vm)->pit = NULL;
	bv_host_free(pit);
}

/* ---- state ---- */

static void channel_save(const struct pit_channel *channel, struct bv_pit_channel_state *state)
{
	*state = (struct bv_pit_channel_state){
		.count = channel->count,
		.latched_count = channel->latched,
		.count_latched = channel->count_latched,
		.status_latched = channel->status_latched,
		.status = channel->status,
		.read_state = channel->read_state,
		.write_state = channel->write_state,
		.write_latch = channel->write_latch,
		.rw_mode = channel->rw_mode,
		.mode = channel->mode,
		.bcd = channel->bcd,
		.gate = channel->gate,
		.load_ns = channel->load_ns,
	};
	/* A stopped counter is told as one that was loaded later. */
	if (channel->stop_ns)
		state->load_ns += bv_host_ns() - channel->stop_ns;
}

/*
 * When a restored counter was loaded, by this host's clock: it may have been before the host
 * started (then only the phase matters), but never after now.
 */
static u64 channel_load_time(const struct bv_pit_channel_state *state)
{
	u64 now = bv_host_ns();
	u64 elapsed = now - state->load_ns;

	if ((s64)elapsed < 0)
		return now;
	if (elapsed <= now)
		return state->load_ns;
	if (state->mode != 2 && state->mode != 3)
		return 0;
	return now - elapsed % pit_ns(state->count ? state->count : 65536);
}

static void channel_restore(struct pit_channel *channel, const struct bv_pit_channel_state *state)
{
	*channel = (struct pit_channel){
		.count = state->count ? state->count : 65536,
		.latched = state->latched_count,
		.count_latched = state->count_latched & 3,
		.status_latched = state->status_latched,
		.status = state->status,
		.read_state = state->read_state,
		.write_state = state->write_state,
		.write_latch = state->write_latch,
		.rw_mode = state->rw_mode & 3,
		.mode = state->mode,
		.bcd = state->bcd,
		.gate = state->gate,
		.load_ns = channel_load_time(state),
	};
	if (!channel->gate && mode_gated(channel->mode))
		channel->stop_ns = bv_host_ns();
}

static int pit_check(struct bv_vm *vm, const struct bv_pit_state *state)
{
	for (u32 i = 0; i < 3; i++)
		if (state->channel[i].count > 65536)
			return bv_refuse(&vm->why, BV_EINVAL,
					 "8254 state: counter %u has count %u, above 65536", i,
					 state->channel[i].count);
	return 0;
}

int bv_pit_get(struct bv_vm *vm, struct bv_pit_state *state)
{
	struct bv_pit *pit;
	u64 flags;

	if (!bv_pit_present(vm))
		return bv_refuse(&vm->why, BV_ENXIO,
				 "8254 state: this VM has no 8254 in the engine");
	pit = vm_chips(vm)->pit;
	flags = bv_host_spin_lock_irq(&pit->lock);
	for (u32 i = 0; i < 3; i++)
		channel_save(&pit->channel[i], &state->channel[i]);
	state->hpet_legacy = pit->hpet_legacy;
	state->speaker_data_on = pit->speaker_data;
	bv_host_spin_unlock_irq(&pit->lock, flags);
	return 0;
}

int bv_pit_set(struct bv_vm *vm, const struct bv_pit_state *state)
{
	struct bv_pit *pit;
	u64 flags;
	int error;

	if (!bv_pit_present(vm))
		return bv_refuse(&vm->why, BV_ENXIO,
				 "8254 state: this VM has no 8254 in the engine");
	error = pit_check(vm, state);
	if (error)
		return error;
	pit = vm_chips(vm)->pit;
	flags = bv_host_spin_lock_irq(&pit->lock);
	for (u32 i = 0; i < 3; i++)
		channel_restore(&pit->channel[i], &state->channel[i]);
	pit->hpet_legacy = state->hpet_legacy;
	pit->speaker_data = state->speaker_data_on;
	pit_arm_locked(pit);
	bv_host_spin_unlock_irq(&pit->lock, flags);
	return 0;
}

int bv_pit_reinject(struct bv_vm *vm, bool reinject)
{
	struct bv_pit *pit;
	u64 flags;

	if (!bv_pit_present(vm))
		return bv_refuse(&vm->why, BV_ENXIO,
				 "8254 reinjection: this VM has no 8254 in the engine");
	pit = vm_chips(vm)->pit;
	bv_irq_ack_notifier_del(vm, &pit->ack);
	if (reinject)
		bv_irq_ack_notifier_add(vm, &pit->ack);
	flags = bv_host_spin_lock_irq(&pit->lock);
	pit->reinject = reinject;
	pit->missed = 0;
	bv_host_spin_unlock_irq(&pit->lock, flags);
	return 0;
}
