/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Text from a format; see bv/format.h. */
#ifndef BV_LIB_FORMAT_H
#define BV_LIB_FORMAT_H

#include "bv/format.h"

#endif
