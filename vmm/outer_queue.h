/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue that somebody else serves, the kernel (vhost.h) or a helper process (vhost_user.h): kicks
 * go there by the queue's own eventfd, and interrupts come from there by another.
 */
#ifndef VMM_OUTER_QUEUE_H
#define VMM_OUTER_QUEUE_H

#include "vmm/virtio.h"

struct outer_queue {
	struct virtq *virtq;
	struct loop_fd call;
	int gsi; /* -1: not made */
	bool by_kernel; /* call goes to the guest as a message, in the kernel */
};

int outer_queue_init(struct outer_queue *queue, struct virtq *virtq, struct why *why);
void outer_queue_fini(struct outer_queue *queue);

/* The queue's kicks are somebody else's to hear, or again this process's. */
void outer_queue_lend(struct outer_queue *queue, bool lent);

/*
 * Where its interrupts go now. To be called when it begins or ends to run, or its vector changes.
 */
void outer_queue_route(struct outer_queue *queue, bool running);

#endif
