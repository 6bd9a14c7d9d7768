#!/bin/sh
# Run a command as a strict container engine would: the root read-only, no writable path but those that are named, any
# user, no capability. Called in a mount namespace of its own:
#
#   container.sh ROOT USER_ID "OUTSIDE:INSIDE[:ro] ..." COMMAND ...
set -eu
root=$1 user=$2 mounts=$3
shift 3

mount --bind "$root" "$root"
for pair in $mounts; do
  inside=$root$(echo "$pair" | cut -d: -f2)
  if [ -f "${pair%%:*}" ]; then
    mkdir -p "$(dirname "$inside")" && touch "$inside"
  else
    mkdir -p "$inside"
  fi
done
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount -o remount,bind,ro "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm"
mount -o remount,ro "$root/dev"
for pair in $mounts; do
  inside=$root$(echo "$pair" | cut -d: -f2)
  mount --bind "${pair%%:*}" "$inside"
  case $pair in *:ro) mount -o remount,bind,ro "$inside" ;; esac
done
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups \
  --no-new-privs --bounding-set -all --inh-caps -all "$@"
