/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before every file (Makefile): all symbols are the image's own, so that none is looked up in a
 * table.
 */
#pragma GCC visibility push(hidden)
