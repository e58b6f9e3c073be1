// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nets (virtio 1.2, section 5.1): see net.h. Queues: receive and transmit by pairs, then control.
 */
#include "vmm/net.h"
#include "vmm/snap.h"
#include "vmm/vhost.h"

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 256u
#define RX_CHAINS 64 /* buffers that one frame may be spread over */
#define ETHERTYPE_AT (NET_HEADER + 12)
#define BIT(feature) (1ull << (feature))
#define OFFLOADS                                                       \
	(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN))
#define USER_MTU 65520u

static struct virtq *rx_queue(struct net *net, unsigned int pair)
{
	return &net->dev.queues[2 * pair];
}

static struct virtq *control_queue(struct net *net)
{
	return &net->dev.queues[net->dev.queues_count - 1];
}

void net_error(struct net *net, const char *what, int error)
{
	char text[160];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	if (strcmp(text, net->error) == 0)
		return;
	memcpy(net->error, text, sizeof(text));
	vm_event(net->vm, "net-error", "{s:s, s:s}", "id", net->id, "why", text);
}

/* ---- to the guest -------------------------------------------------------------------------- */

/* Takes buffers until the frame fits; none are taken if it does not. */
static unsigned int take_buffers(struct virtq *queue, struct virtq_chain *chains, size_t size,
				 unsigned int most)
{
	size_t room = 0;
	unsigned int count = 0;

	while (room < size && count < most && virtq_pop(queue, &chains[count]))
		room += chains[count++].in_size;
	if (room >= size)
		return count;
	while (count--)
		virtq_unpop(queue);
	return 0;
}

bool net_deliver(struct net *net, unsigned int pair, uint8_t *frame, size_t size)
{
	static struct virtq_chain chains[RX_CHAINS]; /* the machine's lock guards it */
	struct virtq *queue = rx_queue(net, pair);
	bool merge = net->dev.chosen & BIT(VIRTIO_NET_F_MRG_RXBUF);
	unsigned int i, count;
	size_t at = 0;

	if (!virtio_is_ready(&net->dev) || !queue->enabled || net->dev.quiet)
		return false;
	count = take_buffers(queue, chains, size, merge ? RX_CHAINS : 1);
	if (!count)
		return false;
	frame[10] = (uint8_t)count;
	frame[11] = 0;
	for (i = 0; i < count; i++) {
		size_t part = chain_write(&chains[i], 0, frame + at, size - at);

		virtq_push(queue, chains[i].head, part);
		at += part;
	}
	virtq_tell(queue);
	net->stats.rx_packets++;
	net->stats.rx_bytes += size - NET_HEADER;
	return true;
}

/* ---- from the guest ------------------------------------------------------------------------ */

static void seen_ip(struct net *net, uint32_t ip)
{
	char text[INET_ADDRSTRLEN];

	if (!ip || ip == net->guest_ip || (ntohl(ip) >> 24) >= 224)
		return;
	net->guest_ip = ip;
	inet_ntop(AF_INET, &ip, text, sizeof(text));
	vm_event(net->vm, "guest-ip", "{s:s, s:s}", "net", net->id, "ip", text);
}

/* The guest's address is the sender's in its ARP and IPv4 packets. */
static void look_at(struct net *net, const struct virtq_chain *chain)
{
	uint8_t bytes[NET_HEADER + 34];
	uint32_t ip;

	if (chain_read(chain, 0, bytes, sizeof(bytes)) < sizeof(bytes))
		return;
	if (bytes[ETHERTYPE_AT] == 8 && bytes[ETHERTYPE_AT + 1] == 0)
		memcpy(&ip, bytes + ETHERTYPE_AT + 14, 4);
	else if (bytes[ETHERTYPE_AT] == 8 && bytes[ETHERTYPE_AT + 1] == 6)
		memcpy(&ip, bytes + ETHERTYPE_AT + 16, 4);
	else
		return;
	seen_ip(net, ip);
}

static void transmit(struct net *net, struct virtq *queue)
{
	struct virtq_chain chain;

	virtq_no_kicks(queue);
	do {
		while (virtq_pop(queue, &chain)) {
			if (chain.out_size > NET_HEADER && chain.out_size <= NET_FRAME_MAX) {
				look_at(net, &chain);
				net->stats.tx_packets++;
				net->stats.tx_bytes += chain.out_size - NET_HEADER;
				if (!net->back->send(net, queue->index / 2, chain.iov, chain.out))
					net->stats.dropped++;
			}
			virtq_push(queue, chain.head, 0);
		}
	} while (virtq_wants_kicks(queue));
	virtq_tell(queue);
}

/* ---- control ------------------------------------------------------------------------------- */

static uint8_t set_mac(struct net *net, const struct virtq_chain *chain)
{
	if (chain_read(chain, 2, net->mac, 6) != 6)
		return VIRTIO_NET_ERR;
	memcpy(net->dev.config, net->mac, 6);
	return VIRTIO_NET_OK;
}

static uint8_t set_pairs(struct net *net, const struct virtq_chain *chain)
{
	uint16_t pairs = 0;

	chain_read(chain, 2, &pairs, sizeof(pairs));
	if (pairs < 1 || pairs > net->pairs)
		return VIRTIO_NET_ERR;
	net->pairs_on = pairs;
	if (net->back->pairs)
		net->back->pairs(net);
	return VIRTIO_NET_OK;
}

static uint8_t set_offloads(struct net *net, const struct virtq_chain *chain)
{
	uint64_t offloads = 0;

	chain_read(chain, 2, &offloads, sizeof(offloads));
	if (offloads & ~(net->dev.chosen & OFFLOADS))
		return VIRTIO_NET_ERR;
	if (net->back->offloads)
		net->back->offloads(net, offloads);
	return VIRTIO_NET_OK;
}

/* Which frames the guest wants to see is of no matter: it gets all that come for it. */
static uint8_t command(struct net *net, const struct virtq_chain *chain)
{
	uint8_t head[2] = { 0xff, 0xff };

	chain_read(chain, 0, head, sizeof(head));
	switch (head[0]) {
	case VIRTIO_NET_CTRL_RX:
		return VIRTIO_NET_OK;
	case VIRTIO_NET_CTRL_MAC:
		return head[1] == VIRTIO_NET_CTRL_MAC_ADDR_SET ? set_mac(net, chain) :
								 VIRTIO_NET_OK;
	case VIRTIO_NET_CTRL_MQ:
		return head[1] == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ? set_pairs(net, chain) :
								    VIRTIO_NET_ERR;
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return set_offloads(net, chain);
	default:
		return VIRTIO_NET_ERR;
	}
}

static void serve_control(struct net *net, struct virtq *queue)
{
	struct virtq_chain chain;

	do {
		while (virtq_pop(queue, &chain)) {
			uint8_t answer = command(net, &chain);

			virtq_push(queue, chain.head, chain_write(&chain, 0, &answer, 1));
		}
	} while (virtq_wants_kicks(queue));
	virtq_tell(queue);
}

/* ---- the device ---------------------------------------------------------------------------- */

static void net_kicked(void *owner, struct virtq *queue)
{
	struct net *net = owner;

	if (queue == control_queue(net) && (net->dev.chosen & BIT(VIRTIO_NET_F_CTRL_VQ)))
		serve_control(net, queue);
	else if (queue->index & 1)
		transmit(net, queue);
	else if (net->back->room)
		net->back->room(net, queue->index / 2);
}

static void net_ready(void *owner)
{
	struct net *net = owner;

	if (net->back->offloads)
		net->back->offloads(net, net->dev.chosen & OFFLOADS);
	if (net->vhost && vhost_start(net->vhost))
		virtio_break(&net->dev, "vhost-net does not start");
}

static void net_reset(void *owner)
{
	struct net *net = owner;

	if (net->vhost)
		vhost_stop(net->vhost);
	net->pairs_on = 1;
}

static void net_quiesce(void *owner, bool on)
{
	struct net *net = owner;

	if (!net->vhost || !virtio_is_ready(&net->dev))
		return;
	if (on)
		vhost_stop(net->vhost);
	else
		vhost_start(net->vhost);
}

static void net_vector_changed(void *owner, unsigned int vector)
{
	struct net *net = owner;

	if (net->vhost)
		vhost_vector_changed(net->vhost, vector);
}

static void net_state(void *owner, struct snap *snap)
{
	struct net *net = owner;

	snap_value(snap, &net->mac);
	snap_value(snap, &net->pairs_on);
	if (net->pairs_on < 1 || net->pairs_on > net->pairs)
		snap_spoil(snap, "%u queue pairs", net->pairs_on);
	memcpy(net->dev.config, net->mac, 6);
}

static void leave(void *owner)
{
	struct net *net = owner;

	net->leaving = true;
	loop_kick(&net->vm->loop);
}

static const struct virtio_ops NET_OPS = {
	.kicked = net_kicked,
	.ready = net_ready,
	.reset = net_reset,
	.quiesce = net_quiesce,
	.state = net_state,
	.vector_changed = net_vector_changed,
	.ejected = leave,
};

/* Locally administered, the same at each start. */
static void make_mac(struct net *net, const struct vmm_net *config, unsigned int place)
{
	static const uint8_t NONE[6];
	const char *name = net->vm->config->name ? net->vm->config->name : "";
	uint32_t hash = 2166136261u + place;

	if (memcmp(config->mac, NONE, 6)) {
		memcpy(net->mac, config->mac, 6);
		return;
	}
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	net->mac[0] = 0x52;
	net->mac[1] = 0x54;
	memcpy(net->mac + 2, &hash, 4);
}

static uint64_t features_of(const struct net *net)
{
	uint64_t features = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
			    BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ) |
			    BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) |
			    BIT(VIRTIO_NET_F_GUEST_CSUM);

	if (net->kind == VMM_NET_USER)
		return features | BIT(VIRTIO_NET_F_MTU);
	features |= OFFLOADS | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
		    BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) |
		    BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	return net->pairs > 1 ? features | BIT(VIRTIO_NET_F_MQ) : features;
}

static int plug(struct net *net, struct why *why)
{
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)net->pairs,
		.mtu = USER_MTU,
	};

	memcpy(config.mac, net->mac, 6);
	virtio_init(&net->dev, net->vm, VIRTIO_NET, net->id, &NET_OPS, net, features_of(net),
		    2 * net->pairs + 1, QUEUE_SIZE);
	memcpy(net->dev.config, &config, 12);
	net->dev.config_size = 12;
	if (net->vhost && vhost_attach(net->vhost, &net->dev, 2 * net->pairs, why))
		return -1;
	return virtio_plug(&net->dev, why);
}

static int create_back(struct net *net, const struct vmm_net *config, int fd, struct why *why)
{
	if (net->kind == VMM_NET_USER)
		return net_user_create(net, config, why);
	return net_tap_create(net, config, fd, why);
}

struct net *net_create(struct vm *vm, const struct vmm_net *config, unsigned int place, int fd,
		       struct why *why)
{
	struct net *net = calloc(1, sizeof(*net)), **end = &vm->nets;

	if (!net) {
		why_set(why, "no memory");
		return NULL;
	}
	net->vm = vm;
	net->kind = config->kind;
	net->tap = config->tap;
	net->pairs = config->queues && config->kind == VMM_NET_TAP ? config->queues : 1;
	net->pairs_on = 1;
	if (config->id)
		snprintf(net->id, sizeof(net->id), "%s", config->id);
	else
		snprintf(net->id, sizeof(net->id), "net%u", place);
	make_mac(net, config, place);
	if (net->pairs > NET_PAIRS_MAX)
		why_set(why, "the net %s has %u queues; %u are the most", net->id, net->pairs,
			NET_PAIRS_MAX);
	else if (create_back(net, config, fd, why) == 0 && plug(net, why) == 0) {
		while (*end)
			end = &(*end)->next;
		*end = net;
		return net;
	}
	net_destroy(net);
	return NULL;
}

void net_destroy(struct net *net)
{
	struct net **at = &net->vm->nets;

	while (*at && *at != net)
		at = &(*at)->next;
	if (*at)
		*at = net->next;
	virtio_unplug(&net->dev);
	if (net->vhost)
		vhost_close(net->vhost);
	if (net->back)
		net->back->destroy(net);
	free(net);
}

struct net *net_find(struct vm *vm, const char *id)
{
	struct net *net;

	for (net = vm->nets; net; net = net->next)
		if (strcmp(net->id, id) == 0)
			return net;
	return NULL;
}
