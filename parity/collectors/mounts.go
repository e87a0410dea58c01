// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// mounts reads what is mounted. The kernel's numbers, and mounts of containers, snaps, sessions and single services, are each machine's own and come and go.
func mounts() Group {
	return Group{
		Name: "mounts", Lane: parity.Stable,
		About: "what is mounted where: file system and options; devices by the place's names",
		// Units mount side by side, in an order of chance; one upon another is what -s keeps.
		Script: `[ -r /proc/self/mountinfo ] || unknown '/proc/self/mountinfo cannot be read'
in_order=cat
! have sort || in_order='sort -s -k 1,1'
while read -r id parent device root point options rest; do
	case $point in
	/run/user/* | /run/credentials/* | /run/netns/* | /run/docker/* | /run/containerd/* | /run/snapd/* | /run/systemd/* | /snap/* | /var/lib/snapd/* | /sys/kernel/debug/*) continue ;;
	/var/lib/docker/* | /var/lib/containers/* | /var/lib/containerd/* | /var/lib/kubelet/* | /var/snap/* | /tmp/* | /media/*) continue ;;
	esac
	case $rest in '- '*) rest=${rest#- } ;; *) rest=${rest#* - } ;; esac
	printf '%s %s %s %s\n' "$point" "$root" "$options" "$rest"
done </proc/self/mountinfo | $in_order
`,
		Parse: parseMounts,
	}
}

func parseMounts(raw []byte) ([]parity.Item, error) {
	type mount struct{ value, source string }
	at, devices := map[string][]mount{}, map[string][]string{}
	var points []string
	var p pile
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		f = append(f, "", "")
		point, root, kind, source := octal(f[0]), f[1], f[3], octal(f[4])
		if kind == "nsfs" || kind == "binfmt_misc" {
			continue // mounted by whoever looks
		}
		value := kind + " " + optionsOf(f[2], f[5])
		if root != "/" && kind != "btrfs" && kind != "cgroup" && kind != "cgroup2" {
			value += " (a part of it)"
		}
		if len(at[point]) == 0 {
			points = append(points, point)
		}
		at[point] = append(at[point], mount{value, source})
		switch {
		case strings.HasPrefix(source, "/dev/"):
			devices[source] = append(devices[source], point)
		case strings.Contains(source, ":") || strings.HasPrefix(source, "//"):
			p.add(point+" from", source) // a server
		}
		if len(points) > maxPile {
			return nil, fmt.Errorf("cannot read more than %d mounts", maxPile)
		}
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("no mount is there, not even /")
	}
	for source, list := range devices {
		slices.Sort(list)
		p.add(source, strings.Join(slices.Compact(list), ", "))
	}
	for _, point := range points {
		var values []string
		for _, m := range at[point] {
			values = append(values, m.value)
		}
		p.add(point, strings.Join(slices.Compact(values), ", then "))
	}
	return p.done(", ")
}

// ownOptions begin options that say how large the machine's memory is, or what the kernel numbered or took as a default.
var ownOptions = []string{"size=", "nr_inodes=", "inode64", "relatime", "fd=", "pgrp=", "timeout=", "minproto=", "maxproto=", "direct", "pipe_ino=", "lowerdir=", "upperdir=", "workdir=",
	"addr=", "clientaddr=", "mountaddr=", "mountport=", "noquota", "logbufs=", "logbsize=", "sunit=", "swidth=", "stripe=", "nsdelegate", "memory_recursiveprot", "subvolid=", "seclabel", "ssize="}

// optionsOf are the options of a mount and of its file system, sorted. A mount that only reads says so though its file system writes.
func optionsOf(mount, super string) string {
	var list []string
	for _, option := range strings.Split(mount, ",") {
		list = append(list, octal(option))
	}
	for _, option := range strings.Split(super, ",") {
		if option != "rw" && option != "ro" || option == "ro" && !slices.Contains(list, "ro") {
			list = append(list, octal(option))
		}
	}
	list = slices.DeleteFunc(list, func(option string) bool {
		return option == "" || slices.ContainsFunc(ownOptions, func(own string) bool {
			return option == own || strings.HasSuffix(own, "=") && strings.HasPrefix(option, own)
		})
	})
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ",")
}

// octal undoes the kernel's way to write white space and backslashes: \040.
func octal(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+4 <= len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
