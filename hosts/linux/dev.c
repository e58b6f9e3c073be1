// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The files of /dev/kvm: the device, and anonymous files for VMs, vCPUs and statistics. Nothing is
 * decided here: ioctls, pages and reasons are the front's (fronts/kvm), which this hands on to.
 *
 * Every file holds the module (file_operations.owner), so that it cannot be unloaded while one is
 * open.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "fronts/kvm/kvm.h"
#include "fronts/kvm/os.h"

#include "hosts/linux/linux.h"

/* ---- the device ---- */

static struct bvk_request request_of(unsigned int cmd, unsigned long arg, bool compat)
{
	return (struct bvk_request){ .cmd = cmd, .arg = arg, .compat = compat };
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bvk_request request = request_of(cmd, arg, false);

	return bvk_dev_ioctl(&request);
}

/* Reading a file gives the reasons for refusals, as text. */
static ssize_t read_reasons(struct bvk_vm *vm, char __user *to, size_t bytes, loff_t *offset)
{
	char *text = kmalloc(BVK_REASONS_SIZE, GFP_KERNEL);
	ssize_t result;

	if (!text)
		return -ENOMEM;
	result = simple_read_from_buffer(to, bytes, offset, text,
					 bvk_reasons(vm, text, BVK_REASONS_SIZE));
	kfree(text);
	return result;
}

static ssize_t dev_read(struct file *file, char __user *to, size_t bytes, loff_t *offset)
{
	return read_reasons(NULL, to, bytes, offset);
}

static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = dev_ioctl,
	.read = dev_read,
	.llseek = noop_llseek,
};

static struct miscdevice dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &dev_fops,
};

/* ---- VMs ---- */

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bvk_request request = request_of(cmd, arg, false);

	return bvk_vm_ioctl(file->private_data, &request);
}

#ifdef CONFIG_COMPAT
static long vm_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bvk_request request = request_of(cmd, arg, true);

	return bvk_vm_ioctl(file->private_data, &request);
}
#else
#define vm_compat_ioctl NULL
#endif

static ssize_t vm_read(struct file *file, char __user *to, size_t bytes, loff_t *offset)
{
	return read_reasons(file->private_data, to, bytes, offset);
}

/* /proc/PID/fdinfo/N: how somebody else than the VMM gets at the reasons. */
static void vm_show_fdinfo(struct seq_file *to, struct file *file)
{
	char *text = kmalloc(BVK_REASONS_SIZE, GFP_KERNEL), *rest = text, *line;

	if (!text)
		return;
	bvk_reasons(file->private_data, text, BVK_REASONS_SIZE);
	while ((line = strsep(&rest, "\n")))
		if (*line)
			seq_printf(to, "reason:\t%s\n", line);
	kfree(text);
}

/* A file without an object is one whose creation was cancelled. */
static int vm_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		bvk_vm_release(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = vm_compat_ioctl,
	.read = vm_read,
	.show_fdinfo = vm_show_fdinfo,
	.release = vm_release,
	.llseek = noop_llseek,
};

/* ---- vCPUs ---- */

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bvk_request request = request_of(cmd, arg, false);

	return bvk_vcpu_ioctl(file->private_data, &request);
}

#ifdef CONFIG_COMPAT
static long vcpu_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct bvk_request request = request_of(cmd, arg, true);

	return bvk_vcpu_ioctl(file->private_data, &request);
}
#else
#define vcpu_compat_ioctl NULL
#endif

static struct page *page_of(void *memory)
{
	return is_vmalloc_addr(memory) ? vmalloc_to_page(memory) : virt_to_page(memory);
}

static vm_fault_t vcpu_fault(struct vm_fault *fault)
{
	void *memory = bvk_vcpu_page(fault->vma->vm_file->private_data, fault->pgoff);

	if (!memory)
		return VM_FAULT_SIGBUS;
	fault->page = page_of(memory);
	get_page(fault->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = { .fault = vcpu_fault };

/* Data pages of ours: never code, and a private copy would never see what we write. */
static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_EXEC || ((vma->vm_flags & VM_WRITE) && !(vma->vm_flags & VM_SHARED)))
		return -EINVAL;
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		bvk_vcpu_release(file->private_data);
	return 0;
}

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.compat_ioctl = vcpu_compat_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

/* ---- statistics ---- */

#define STATS_CHUNK 16384u

static ssize_t stats_read(struct file *file, char __user *to, size_t bytes, loff_t *offset)
{
	size_t room = min_t(size_t, bytes, STATS_CHUNK), count;
	void *copy;

	if (*offset < 0)
		return -EINVAL;
	copy = kvzalloc(room, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	count = bvk_stats_read(file->private_data, *offset, copy, room);
	if (copy_to_user(to, copy, count)) {
		kvfree(copy);
		return -EFAULT;
	}
	kvfree(copy);
	*offset += count;
	return count;
}

static int stats_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		bvk_stats_release(file->private_data);
	return 0;
}

static const struct file_operations stats_fops = {
	.owner = THIS_MODULE,
	.read = stats_read,
	.release = stats_release,
	.llseek = noop_llseek,
};

/* ---- what the front asks for: files ---- */

static const struct {
	const char *name;
	const struct file_operations *fops;
	int flags;
	bool numbered;
} kinds[] = {
	[BVK_FILE_VM] = { "kvm-vm", &vm_fops, O_RDWR, false },
	[BVK_FILE_VCPU] = { "kvm-vcpu", &vcpu_fops, O_RDWR, true },
	[BVK_FILE_STATS] = { "kvm-stats", &stats_fops, O_RDONLY, false },
};

int bvk_host_fd_reserve(struct bvk_fd *fd, enum bvk_file kind, unsigned int index)
{
	char name[24];
	struct file *file;

	if (kinds[kind].numbered)
		snprintf(name, sizeof(name), "%s:%u", kinds[kind].name, index);
	else
		snprintf(name, sizeof(name), "%s", kinds[kind].name);
	fd->number = get_unused_fd_flags(O_CLOEXEC);
	if (fd->number < 0)
		return fd->number;
	file = anon_inode_getfile(name, kinds[kind].fops, NULL, kinds[kind].flags);
	if (IS_ERR(file)) {
		put_unused_fd(fd->number);
		return PTR_ERR(file);
	}
	file->f_mode |= FMODE_PREAD | FMODE_LSEEK;
	fd->file = file;
	return 0;
}

void bvk_host_fd_install(struct bvk_fd *fd, void *object)
{
	struct file *file = fd->file;

	file->private_data = object;
	fd_install(fd->number, file);
}

void bvk_host_fd_cancel(struct bvk_fd *fd)
{
	fput(fd->file);
	put_unused_fd(fd->number);
}

/* ---- what the front asks for: memory, signals, time ---- */

void *bvk_host_shared_alloc(size_t bytes)
{
	if (bytes <= PAGE_SIZE)
		return (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return __vmalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
}

void bvk_host_shared_free(void *memory)
{
	if (is_vmalloc_addr(memory))
		vfree(memory);
	else
		free_page((unsigned long)memory);
}

bool bvk_host_user_range(u64 addr, u64 bytes)
{
	return access_ok((void __user *)(unsigned long)addr, bytes);
}

/*
 * While the vCPU runs with its own mask, real_blocked says which signals the thread keeps blocked
 * otherwise: those are not acted on when they come, only noticed.
 */
void bvk_host_signals_swap(const u64 *mask, u64 *old)
{
	sigset_t set;

	BUILD_BUG_ON(sizeof(set) != BVK_SIGSET_BYTES);
	memcpy(&set, mask, sizeof(set));
	sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_SETMASK, &set, &current->real_blocked);
	memcpy(old, &current->real_blocked, sizeof(set));
}

void bvk_host_signals_restore(const u64 *old)
{
	sigset_t set;

	memcpy(&set, old, sizeof(set));
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigemptyset(&current->real_blocked);
}

u64 bvk_host_monotonic_ns(void)
{
	return ktime_get_ns();
}

/* ---- birth and end ---- */

int bv_linux_dev_init(void)
{
	int error = misc_register(&dev);

	if (error == -EBUSY)
		pr_err("bivisor: /dev/kvm is taken: unload kvm_amd or kvm_intel, and kvm, first\n");
	return error;
}

void bv_linux_dev_fini(void)
{
	misc_deregister(&dev);
}
