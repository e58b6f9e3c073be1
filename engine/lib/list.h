/* SPDX-License-Identifier: MIT OR GPL-2.0-or-later */
/* Intrusive doubly linked lists. The head is a node of its own; an empty list points to itself. */
#ifndef BV_LIB_LIST_H
#define BV_LIB_LIST_H

#include "bv/types.h"

struct bv_list {
	struct bv_list *next;
	struct bv_list *prev;
};

static inline void bv_list_init(struct bv_list *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool bv_list_empty(const struct bv_list *head)
{
	return head->next == head;
}

static inline void bv_list_add_tail(struct bv_list *head, struct bv_list *node)
{
	node->next = head;
	node->prev = head->prev;
	head->prev->next = node;
	head->prev = node;
}

/* Unlinks the node and leaves it an empty list, so that a second removal does no harm. */
static inline void bv_list_del(struct bv_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	bv_list_init(node);
}

#define bv_list_entry(node, type, member) BV_CONTAINER(node, type, member)

#define bv_list_for_each(node, head) \
	for ((node) = (head)->next; (node) != (head); (node) = (node)->next)

/* The body may remove the node at hand. */
#define bv_list_for_each_safe(node, after, head)                              \
	for ((node) = (head)->next, (after) = (node)->next; (node) != (head); \
	     (node) = (after), (after) = (node)->next)

#endif
