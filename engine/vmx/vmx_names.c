/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* The manual's words for exit reasons and VM-instruction errors. */
#include "vmx/vmx.h"

static const char *const reason_names[VMX_REASON_COUNT] = {
#define REASON_NAME(name, number, kind, length, text) [number] = text,
	VMX_REASONS(REASON_NAME)
};

static const char *const error_names[] = {
#define ERROR_NAME(number, text) [number] = text,
	VMX_ERRORS(ERROR_NAME)
};

const char *vmx_reason_name(u32 reason)
{
	return reason < VMX_REASON_COUNT ? reason_names[reason] : NULL;
}

const char *vmx_error_name(u32 error)
{
	if (!error)
		return "there is no current VMCS";
	return error < BV_ARRAY_SIZE(error_names) && error_names[error] ? error_names[error] :
									  "unknown error";
}
