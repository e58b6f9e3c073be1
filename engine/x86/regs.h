/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
#include "bv/x86.h"
