// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Disks (virtio 1.2, section 5.2): see block.h.
 *
 * A request is taken from the ring, checked, and becomes one operation of io_uring on the guest's
 * own buffers; a short one is continued. Operations of the ring are restricted at its start to
 * those used here, because system call filters do not see them.
 */
#include "vmm/block.h"
#include "vmm/snap.h"
#include "vmm/vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u
#define DIRECT_ALIGN 4096u
#define QUEUES_MAX 4u
#define ZEROES_MAX (1u << 22) /* sectors: 2 GiB */
#define HEADER_SIZE 16u

static void fill_config(struct block *block, unsigned int queues)
{
	struct virtio_blk_config config = {
		.capacity = block->size / SECTOR,
		.seg_max = VIRTQ_IOV - 4,
		.blk_size = SECTOR,
		.physical_block_exp = 3,
		.min_io_size = 8,
		.num_queues = (uint16_t)queues,
		.max_discard_sectors = ZEROES_MAX,
		.max_discard_seg = 1,
		.discard_sector_alignment = 8,
		.max_write_zeroes_sectors = ZEROES_MAX,
		.max_write_zeroes_seg = 1,
		.write_zeroes_may_unmap = 1,
	};

	memcpy(block->dev.config, &config, 60);
	block->dev.config_size = 60;
}

/* ---- requests ------------------------------------------------------------------------------ */

/* Without an error number less than all was moved, and then nothing. */
static void note_error(struct block *block, const char *what, int error)
{
	char text[160];

	snprintf(text, sizeof(text), "%s of %s failed: %s", what, block->path,
		 error ? strerror(error) : "the file has become shorter");
	block->stats.errors++;
	if (strcmp(text, block->error) == 0)
		return;
	memcpy(block->error, text, sizeof(text));
	vm_event(block->vm, "disk-error", "{s:s, s:s}", "id", block->id, "why", text);
}

static const char *word_of(uint32_t type)
{
	switch (type) {
	case VIRTIO_BLK_T_IN:
		return "reading";
	case VIRTIO_BLK_T_OUT:
		return "writing";
	case VIRTIO_BLK_T_FLUSH:
		return "flushing";
	default:
		return "discarding";
	}
}

static void complete(struct block_request *request, uint8_t status)
{
	struct block *block = request->block;
	size_t written = status == VIRTIO_BLK_S_OK ? request->written : 0;

	if (request->bounce && request->type == VIRTIO_BLK_T_IN && status == VIRTIO_BLK_S_OK)
		chain_write(&request->chain, 0, request->bounce, request->bounce_size);
	free(request->bounce);
	request->bounce = NULL;
	*request->status = status;
	virtq_push(request->queue, request->head, written + 1);
	request->next = block->free;
	block->free = request;
}

static void submit(struct block_request *request)
{
	struct block *block = request->block;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&block->ring);

	switch (request->type) {
	case VIRTIO_BLK_T_IN:
		io_uring_prep_readv(sqe, block->fd, request->data, request->count, request->offset);
		break;
	case VIRTIO_BLK_T_OUT:
		io_uring_prep_writev(sqe, block->fd, request->data, request->count,
				     request->offset);
		break;
	case VIRTIO_BLK_T_FLUSH:
		io_uring_prep_fsync(sqe, block->fd, IORING_FSYNC_DATASYNC);
		break;
	default:
		io_uring_prep_fallocate(sqe, block->fd, (int)request->flags, (off_t)request->offset,
					(off_t)request->left);
	}
	io_uring_sqe_set_data(sqe, request);
	block->in_flight++;
}

/* The first bytes are done: go on behind them. */
static void advance(struct block_request *request, size_t done)
{
	request->offset += done;
	request->left -= done;
	while (request->count && done >= request->data->iov_len) {
		done -= request->data->iov_len;
		request->data++;
		request->count--;
	}
	if (!request->count)
		return;
	request->data->iov_base = (uint8_t *)request->data->iov_base + done;
	request->data->iov_len -= done;
}

/* A file system without the one way to zeroes may have the other, which reads as zeroes, too. */
static bool other_way(struct block_request *request, int error)
{
	if (error != EOPNOTSUPP || !(request->flags & FALLOC_FL_ZERO_RANGE))
		return false;
	request->flags = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	submit(request);
	return true;
}

static void finished(struct block_request *request, int result)
{
	bool moves = request->type == VIRTIO_BLK_T_IN || request->type == VIRTIO_BLK_T_OUT;

	if (result == -EAGAIN || result == -EINTR) {
		submit(request);
		return;
	}
	if (result < 0 && other_way(request, -result))
		return;
	if (moves && result > 0 && (size_t)result < request->left) {
		advance(request, (size_t)result);
		submit(request);
		return;
	}
	if (result >= 0 && !(moves && result == 0)) {
		complete(request, VIRTIO_BLK_S_OK);
	} else if (result == -EOPNOTSUPP && !moves) {
		complete(request, VIRTIO_BLK_S_UNSUPP);
	} else {
		note_error(request->block, word_of(request->type), -result);
		complete(request, VIRTIO_BLK_S_IOERR);
	}
}

static void reap(struct block *block)
{
	struct io_uring_cqe *cqe;

	while (io_uring_peek_cqe(&block->ring, &cqe) == 0) {
		struct block_request *request = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&block->ring, cqe);
		block->in_flight--;
		finished(request, result);
	}
	if (io_uring_sq_ready(&block->ring))
		io_uring_submit(&block->ring);
}

static void tell_all(struct block *block)
{
	unsigned int i;

	for (i = 0; i < block->dev.queues_count; i++)
		virtq_tell(&block->dev.queues[i]);
}

/* ---- taking requests from the ring --------------------------------------------------------- */

static void cut_front(struct block_request *request, size_t bytes)
{
	struct virtq_chain *chain = &request->chain;

	request->data = chain->iov;
	request->count = chain->out;
	while (request->count && bytes >= request->data->iov_len) {
		bytes -= request->data->iov_len;
		request->data++;
		request->count--;
	}
	if (!request->count || !bytes)
		return;
	request->data->iov_base = (uint8_t *)request->data->iov_base + bytes;
	request->data->iov_len -= bytes;
}

/* The last byte that the device writes is the status. */
static bool find_status(struct block_request *request)
{
	struct virtq_chain *chain = &request->chain;
	struct iovec *last;

	if (!chain->in || chain->out_size < HEADER_SIZE)
		return false;
	last = &chain->iov[chain->out + chain->in - 1];
	request->status = (uint8_t *)last->iov_base + --last->iov_len;
	chain->in_size--;
	if (!last->iov_len)
		chain->in--;
	return true;
}

static bool in_range(const struct block *block, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = block->size / SECTOR;

	return bytes % SECTOR == 0 && sector <= sectors && bytes / SECTOR <= sectors - sector;
}

/* Direct I/O wants addresses and sizes in whole blocks; firmware knows nothing of it. */
static bool suits_direct(const struct block_request *request)
{
	uint16_t i;

	for (i = 0; i < request->count; i++)
		if (((uintptr_t)request->data[i].iov_base | request->data[i].iov_len) % SECTOR)
			return false;
	return true;
}

static bool use_bounce(struct block_request *request)
{
	request->bounce_size = request->left;
	request->bounce = aligned_alloc(DIRECT_ALIGN, (request->left + DIRECT_ALIGN - 1) &
							      ~(size_t)(DIRECT_ALIGN - 1));
	if (!request->bounce)
		return false;
	if (request->type == VIRTIO_BLK_T_OUT)
		chain_read(&request->chain, 0, request->bounce, request->left);
	request->chain.iov[VIRTQ_IOV - 1] = (struct iovec){ request->bounce, request->left };
	request->data = &request->chain.iov[VIRTQ_IOV - 1];
	request->count = 1;
	return true;
}

static uint8_t start_move(struct block_request *request, uint64_t sector)
{
	struct block *block = request->block;
	bool write = request->type == VIRTIO_BLK_T_OUT;

	if (write) {
		cut_front(request, HEADER_SIZE);
		request->left = request->chain.out_size - HEADER_SIZE;
		block->stats.writes++;
		block->stats.write_bytes += request->left;
	} else {
		request->data = request->chain.iov + request->chain.out;
		request->count = request->chain.in;
		request->left = request->written = request->chain.in_size;
		block->stats.reads++;
		block->stats.read_bytes += request->left;
	}
	request->offset = sector * SECTOR;
	if (!request->left || !in_range(block, sector, request->left) ||
	    (write && block->read_only))
		return VIRTIO_BLK_S_IOERR;
	if (block->direct && !suits_direct(request) && !use_bounce(request))
		return VIRTIO_BLK_S_IOERR;
	submit(request);
	return VIRTIO_BLK_S_OK;
}

static uint8_t start_zeroes(struct block_request *request)
{
	struct virtio_blk_discard_write_zeroes range;
	struct block *block = request->block;
	bool unmap;

	if (request->chain.out_size != HEADER_SIZE + sizeof(range))
		return VIRTIO_BLK_S_UNSUPP;
	chain_read(&request->chain, HEADER_SIZE, &range, sizeof(range));
	unmap = request->type == VIRTIO_BLK_T_DISCARD ||
		(range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	if (block->read_only || !range.num_sectors || range.num_sectors > ZEROES_MAX ||
	    !in_range(block, range.sector, (uint64_t)range.num_sectors * SECTOR))
		return VIRTIO_BLK_S_IOERR;
	block->stats.discards++;
	request->offset = range.sector * SECTOR;
	request->left = (size_t)range.num_sectors * SECTOR;
	request->flags = FALLOC_FL_KEEP_SIZE |
			 (uint32_t)(unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	submit(request);
	return VIRTIO_BLK_S_OK;
}

static uint8_t give_id(struct block_request *request)
{
	char id[20] = "";

	memcpy(id, request->block->serial, strnlen(request->block->serial, sizeof(id)));
	request->written = chain_write(&request->chain, 0, id, sizeof(id));
	complete(request, VIRTIO_BLK_S_OK);
	return VIRTIO_BLK_S_OK;
}

/* What is not OK is the request's end; OK means that it goes on, or has ended already. */
static uint8_t start(struct block_request *request)
{
	struct virtio_blk_outhdr header;

	chain_read(&request->chain, 0, &header, HEADER_SIZE);
	request->type = header.type;
	request->written = 0;
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return start_move(request, header.sector);
	case VIRTIO_BLK_T_FLUSH:
		request->block->stats.flushes++;
		submit(request);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return start_zeroes(request);
	case VIRTIO_BLK_T_GET_ID:
		return give_id(request);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static bool take_one(struct block *block, struct virtq *queue)
{
	struct block_request *request = block->free;
	uint8_t status;

	if (!request || !virtq_pop(queue, &request->chain))
		return false;
	request->queue = queue;
	request->head = request->chain.head;
	if (!find_status(request)) {
		virtio_break(&block->dev, "a request without a header or a status");
		return false;
	}
	block->free = request->next;
	status = start(request);
	if (status != VIRTIO_BLK_S_OK)
		complete(request, status);
	return true;
}

static void take_all(struct block *block, struct virtq *queue)
{
	virtq_no_kicks(queue);
	do {
		while (take_one(block, queue))
			;
		if (io_uring_sq_ready(&block->ring))
			io_uring_submit(&block->ring);
		reap(block);
	} while (virtq_wants_kicks(queue) && block->free &&
		 !(block->dev.status & VIRTIO_STATUS_NEEDS_RESET));
	tell_all(block);
}

static void block_kicked(void *owner, struct virtq *queue)
{
	take_all(owner, queue);
}

static void ring_ready(void *owner, uint32_t events)
{
	struct block *block = owner;
	bool was_full = !block->free;
	unsigned int i;

	(void)events;
	reap(block);
	tell_all(block);
	if (!was_full || block->dev.quiet)
		return;
	for (i = 0; i < block->dev.queues_count; i++)
		if (block->dev.queues[i].enabled)
			take_all(block, &block->dev.queues[i]);
}

static void drain(struct block *block)
{
	struct io_uring_cqe *cqe;

	while (block->in_flight) {
		if (io_uring_wait_cqe(&block->ring, &cqe) < 0 && errno != EINTR)
			break;
		reap(block);
	}
}

static void block_reset(void *owner)
{
	drain(owner);
}

static void block_quiesce(void *owner, bool on)
{
	struct block *block = owner;

	if (!on)
		return;
	drain(block);
	tell_all(block);
}

void block_leave(void *owner)
{
	struct block *block = owner;

	block->leaving = true;
	loop_kick(&block->vm->loop);
}

static const struct virtio_ops BLOCK_OPS = {
	.kicked = block_kicked,
	.reset = block_reset,
	.quiesce = block_quiesce,
	.ejected = block_leave,
};

/* ---- making one ---------------------------------------------------------------------------- */

static int open_file(struct block *block, const struct vmm_disk *disk, struct why *why)
{
	int flags =
		(disk->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (disk->direct ? O_DIRECT : 0);

	block->fd = open(disk->path, flags);
	if (block->fd < 0)
		return why_set(why, "the disk %s cannot be opened%s: %s", disk->path,
			       disk->read_only ? "" : " for writing", strerror(errno));
	return 0;
}

static int measure(struct block *block, struct why *why)
{
	struct stat status;

	if (fstat(block->fd, &status))
		return why_set(why, "the disk %s: %s", block->path, strerror(errno));
	if (S_ISBLK(status.st_mode)) {
		if (ioctl(block->fd, BLKGETSIZE64, &block->size))
			return why_set(why, "the disk %s does not tell its size: %s", block->path,
				       strerror(errno));
	} else if (S_ISREG(status.st_mode)) {
		block->size = (uint64_t)status.st_size;
	} else {
		return why_set(why, "%s is neither a file nor a block device", block->path);
	}
	if (block->size < SECTOR)
		return why_set(why, "the disk %s is empty", block->path);
	if (flock(block->fd, (block->read_only ? LOCK_SH : LOCK_EX) | LOCK_NB))
		return why_set(why, "the disk %s is in use by another VM", block->path);
	return 0;
}

static int restrict_ring(struct block *block)
{
	static const uint8_t OPERATIONS[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
					      IORING_OP_FALLOCATE };
	struct io_uring_restriction rules[sizeof(OPERATIONS)] = { 0 };
	unsigned int i;

	for (i = 0; i < sizeof(OPERATIONS); i++) {
		rules[i].opcode = IORING_RESTRICTION_SQE_OP;
		rules[i].sqe_op = OPERATIONS[i];
	}
	/* Debian's library has no calls of their own for these. */
	if (io_uring_register((unsigned int)block->ring.ring_fd, IORING_REGISTER_RESTRICTIONS,
			      rules, sizeof(OPERATIONS)) < 0)
		return -1;
	return io_uring_register((unsigned int)block->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS,
				 NULL, 0);
}

static int make_ring(struct block *block, struct why *why)
{
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	int error = io_uring_queue_init_params(BLOCK_REQUESTS, &block->ring, &params);

	if (error)
		return why_set(why, "the host's kernel gives no io_uring: %s", strerror(-error));
	block->ring_made = true;
	if (restrict_ring(block))
		return why_set(why, "the host's io_uring cannot be restricted");
	block->ready = (struct loop_fd){ block->ring.ring_fd, ring_ready, block };
	return loop_add(&block->vm->loop, &block->ready, EPOLLIN);
}

static int make_requests(struct block *block, struct why *why)
{
	unsigned int i;

	block->requests = calloc(BLOCK_REQUESTS, sizeof(*block->requests));
	if (!block->requests)
		return why_set(why, "no memory");
	for (i = 0; i < BLOCK_REQUESTS; i++) {
		block->requests[i].block = block;
		block->requests[i].next = i + 1 < BLOCK_REQUESTS ? &block->requests[i + 1] : NULL;
	}
	block->free = block->requests;
	return 0;
}

static int plug(struct block *block, struct why *why)
{
	unsigned int cpus = block->vm->config->cpus, queues = cpus < QUEUES_MAX ? cpus : QUEUES_MAX;
	uint64_t features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
			    1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_FLUSH |
			    1ull << VIRTIO_BLK_F_MQ;
	char name[40];

	features |= block->read_only ?
			    1ull << VIRTIO_BLK_F_RO :
			    1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
	snprintf(name, sizeof(name), "%s", block->id);
	virtio_init(&block->dev, block->vm, VIRTIO_BLOCK, name, &BLOCK_OPS, block, features, queues,
		    BLOCK_REQUESTS);
	fill_config(block, queues);
	return virtio_plug(&block->dev, why);
}

static int open_raw(struct block *block, const struct vmm_disk *disk, struct why *why)
{
	if (block->fd < 0 && open_file(block, disk, why))
		return -1;
	return measure(block, why) || make_ring(block, why) || make_requests(block, why) ||
			       plug(block, why) ?
		       -1 :
		       0;
}

struct block *block_create(struct vm *vm, const struct vmm_disk *disk, unsigned int place, int fd,
			   struct why *why)
{
	struct block *block = calloc(1, sizeof(*block)), **end = &vm->blocks;
	const char *serial;

	if (!block) {
		why_set(why, "no memory");
		return NULL;
	}
	block->vm = vm;
	block->fd = fd;
	block->path = disk->path;
	block->read_only = disk->read_only;
	block->direct = disk->direct;
	if (disk->id)
		snprintf(block->id, sizeof(block->id), "%s", disk->id);
	else
		snprintf(block->id, sizeof(block->id), "disk%u", place);
	serial = disk->serial ? disk->serial : block->id;
	memcpy(block->serial, serial, strnlen(serial, sizeof(block->serial) - 1));
	if (disk->format == VMM_DISK_RAW ? open_raw(block, disk, why) :
					   block_qcow2_open(block, disk, why)) {
		block_destroy(block);
		return NULL;
	}
	while (*end)
		end = &(*end)->next;
	*end = block;
	return block;
}

void block_destroy(struct block *block)
{
	struct block **at = &block->vm->blocks;

	while (*at && *at != block)
		at = &(*at)->next;
	if (*at)
		*at = block->next;
	virtio_unplug(&block->dev);
	if (block->helper)
		vhost_user_close(block->helper);
	if (block->ring_made) {
		drain(block);
		loop_remove(&block->vm->loop, &block->ready);
		io_uring_queue_exit(&block->ring);
	}
	if (block->fd >= 0) {
		if (!block->read_only)
			fdatasync(block->fd);
		close(block->fd);
	}
	free(block->requests);
	free(block);
}

struct block *block_find(struct vm *vm, const char *id)
{
	struct block *block;

	for (block = vm->blocks; block; block = block->next)
		if (strcmp(block->id, id) == 0)
			return block;
	return NULL;
}
