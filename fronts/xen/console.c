// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text: what guests write to the hypervisor's console, what we say about refusals, and console_io.
 *
 * A guest's lines are put out whole, with its number before them. What a guest can cause us to put
 * out is limited: a budget of bytes a second for its own text, and one of lines for refusals of all
 * guests but Dom0; what is beyond is dropped.
 */
#include "call.h"

#define LINE_BYTES 256
#define TEXT_BUDGET 16384ULL
#define LINE_BUDGET 50ULL
#define SECOND 1000000000ULL

/* Takes from a budget that fills up once a second. */
static bool budget_take(u64 *tokens, u64 *since, u64 most, u64 count)
{
	u64 now = bv_host_ns();

	if (now - *since > SECOND) {
		*since = now;
		*tokens = most;
	}
	if (*tokens < count)
		return false;
	*tokens -= count;
	return true;
}

static bool may_speak(const struct bvx_domain *domain)
{
	bool may;
	u64 flags;

	if (domain->privileged)
		return true;
	flags = bv_host_spin_lock_irq(&bvx.log_lock);
	may = budget_take(&bvx.log_tokens, &bvx.log_ns, LINE_BUDGET, 1);
	bv_host_spin_unlock_irq(&bvx.log_lock, flags);
	return may;
}

int bvx_refuse(const struct bvx_domain *domain, int error, const char *format, ...)
{
	char text[BV_WHY_CHARS];
	size_t length = bv_format(text, sizeof(text), "d%u: ", domain->id);
	va_list arguments;

	if (!may_speak(domain))
		return -error;
	va_start(arguments, format);
	length += bv_format_v(text + length, sizeof(text) - length - 1, format, arguments);
	va_end(arguments);
	length += bv_format(text + length, sizeof(text) - length - 1, " (error %d)", error);
	text[length++] = '\n';
	bvx_host_guest_log(BV_LOG_INFO, text, length);
	return -error;
}

void bvx_note(const char *format, ...)
{
	char text[BV_WHY_CHARS];
	va_list arguments;

	va_start(arguments, format);
	bv_format_v(text, sizeof(text), format, arguments);
	va_end(arguments);
	bv_host_log(BV_LOG_WARNING, text);
}

/* ---- guests' text ---- */

static void line_out(struct bvx_domain *domain, const char *text, size_t length)
{
	char line[LINE_BYTES + 16];
	size_t head = bv_format(line, sizeof(line), "(d%u) ", domain->id);

	__builtin_memcpy(line + head, text, length);
	line[head + length] = '\n';
	bvx_host_guest_log(BV_LOG_DEBUG, line, head + length + 1);
}

/* Control characters could play tricks with the terminal of whoever reads. */
static char shown(char letter)
{
	return letter == '\t' || (letter >= ' ' && letter < 127) ? letter : '?';
}

static void text_add(struct bvx_domain *domain, char letter)
{
	if (letter == '\r' || !letter)
		return;
	if (letter != '\n')
		domain->text[domain->text_length++] = shown(letter);
	if (letter != '\n' && domain->text_length < LINE_BYTES)
		return;
	if (budget_take(&domain->text_tokens, &domain->text_ns, TEXT_BUDGET,
			domain->text_length + 1))
		line_out(domain, domain->text, domain->text_length);
	domain->text_length = 0;
}

void bvx_console_guest(struct bvx_domain *domain, const char *text, size_t length)
{
	char *fresh = domain->text ? NULL : bv_host_alloc(LINE_BYTES);
	u64 flags = bv_host_spin_lock_irq(&domain->count_lock);

	if (!domain->text) {
		domain->text = fresh;
		fresh = NULL;
	}
	for (size_t i = 0; domain->text && i < length; i++)
		text_add(domain, text[i]);
	bv_host_spin_unlock_irq(&domain->count_lock, flags);
	bv_host_free(fresh);
}

/* ---- the hypercall ---- */

static long console_write(struct bvx_call *call, u64 count)
{
	char *text = call->data;
	u64 done = 0;

	while (done < count) {
		size_t part = count - done < BVX_ARG_BYTES ? count - done : BVX_ARG_BYTES;

		if (bvx_copy_in(call->vcpu, text, call->args[2] + done, part))
			return -XEN_EFAULT;
		if (call->domain->hardware)
			bvx_host_console_write(text, part);
		else
			bvx_console_guest(call->domain, text, part);
		done += part;
		if (bvx_call_breathe(call))
			break;
	}
	return 0;
}

static long console_read(struct bvx_call *call, u64 count)
{
	char *text = call->data;
	size_t length;

	if (!call->domain->hardware)
		return bvx_call_refuse(call, XEN_EPERM, "the console's input is Dom0's");
	length = bvx_host_console_read(text, count < BVX_ARG_BYTES ? count : BVX_ARG_BYTES);
	if (length && bvx_copy_out(call->vcpu, call->args[2], text, length))
		return -XEN_EFAULT;
	return (long)length;
}

/* args: command, bytes, text */
long bvx_console_io(struct bvx_call *call)
{
	u64 count = (u32)call->args[1];

	if (call->args[0] == CONSOLEIO_write && count > 4 * BVX_ARG_BYTES && call->vcpu->in_exit)
		return BVX_LATER;
	if (call->args[0] == CONSOLEIO_write)
		return console_write(call, count);
	if (call->args[0] == CONSOLEIO_read)
		return console_read(call, count);
	return bvx_call_refuse(call, XEN_ENOSYS, "there is no subop %llu", call->args[0]);
}
