#!/usr/bin/busybox sh
# The guest's first process: mounts what a system has, runs the tests, says how they ended.
export PATH=/usr/bin:/usr/sbin:/opt/busybox
export HOME=/root

/usr/bin/busybox mount -t devtmpfs devtmpfs /dev
# The kernel found no console in the archive, which an ordinary user cannot put there.
exec </dev/console >/dev/console 2>&1
/usr/bin/busybox --install -s /opt/busybox
ln -sf /usr/bin/busybox /usr/bin/sh

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm /run
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd

while read -r module; do
    insmod "/modules/$module" || echo "init: warning: $module cannot be loaded"
done </modules/order

hostname guest
ip link set lo up
# Before 5.11 maps count against this limit.
ulimit -l unlimited
ulimit -n 65536

echo "init: kernel $(uname -r), $(nproc) processors"
if run-tests; then
    echo "init: success"
else
    echo "init: exit status $?"
    dmesg | tail -n 30
    echo "init: failure"
fi
sync
poweroff -f
