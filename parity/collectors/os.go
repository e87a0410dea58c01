// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// system is what a machine runs, and what it has for it.
func system() Group {
	return Group{
		Name: "os", Lane: parity.Stable,
		About: "the system's name and version, its kernels, processors and memory, what it runs on, and whether it waits for a reboot",
		Script: show + `if [ -r /etc/os-release ]; then show release /etc/os-release; else show release /usr/lib/os-release; fi
show kernel /proc/sys/kernel/osrelease
show build /proc/sys/kernel/version
if [ -r /proc/sys/kernel/arch ]; then show machine /proc/sys/kernel/arch; else echo "machine $(uname -m)"; fi
show online /sys/devices/system/cpu/online
[ -r /sys/devices/system/cpu/online ] || echo "processors $(grep -c '^processor' /proc/cpuinfo)"
show cpumax /sys/fs/cgroup/cpu.max
show cpuset /sys/fs/cgroup/cpuset.cpus.effective
show memmax /sys/fs/cgroup/memory.max
while read -r word rest; do
	case $word in MemTotal:) echo "memory $rest" && break ;; esac
done 2>/dev/null </proc/meminfo
while [ "$root" = 1 ] && read -r line; do
	case $line in *': System RAM') echo "ram ${line%% *}" ;; esac
done 2>/dev/null </proc/iomem
if have systemd-detect-virt; then
	echo "virt $(systemd-detect-virt 2>/dev/null)"
else
	for f in /.dockerenv /run/.containerenv; do [ ! -e $f ] || echo "container ${f##*/}"; done
	show container /run/systemd/container
	show vendor /sys/class/dmi/id/sys_vendor
	show product /sys/class/dmi/id/product_name
fi
for f in /boot/vmlinuz-* /boot/vmlinux-* /lib/modules/*/vmlinuz; do
	[ -e "$f" ] || continue
	f=${f%/vmlinuz}
	f=${f##*/}
	f=${f#vmlinu?-}
	echo "installed $f"
done
for f in /lib/modules/*/modules.dep; do
	[ ! -e "$f" ] || { f=${f%/*} && echo "modules ${f##*/}"; }
done
for f in /sys/kernel/livepatch/*; do [ ! -e "$f" ] || echo "livepatch ${f##*/}"; done
for f in /run/reboot-required /var/run/reboot-required /run/reboot-needed; do
	[ ! -e $f ] || { echo "reboot $f"; show for $f.pkgs; break; }
done
`,
		Parse: parseSystem,
	}
}

// hostname is apart from the rest, which equal machines have alike.
func hostname() Group {
	return Group{
		Name: "os" + parity.OwnSuffix, Lane: parity.Volatile,
		About:  "the machine's own name",
		Script: show + "show hostname /proc/sys/kernel/hostname\n",
		Parse: func(raw []byte) ([]parity.Item, error) {
			var s itemSet
			for word, rest := range tagged(raw) {
				if word == "hostname" {
					s.put(word, rest)
				}
			}
			return s.list, nil
		},
	}
}

// systemSaid is what the script printed, by word.
type systemSaid map[string][]string

func (s systemSaid) first(word string) string {
	if list := s[word]; len(list) > 0 {
		return strings.TrimSpace(list[0])
	}
	return ""
}

func parseSystem(raw []byte) ([]parity.Item, error) {
	said := systemSaid{}
	release := map[string]string{}
	for word, rest := range tagged(raw) {
		if word != "release" {
			said[word] = append(said[word], rest)
		} else if key, text, found := strings.Cut(rest, "="); found {
			release[strings.TrimSpace(key)] = unquote(strings.TrimSpace(text))
		}
	}
	var s itemSet
	for _, key := range []string{"ID", "ID_LIKE", "VERSION_ID", "PRETTY_NAME"} {
		s.put(strings.ToLower(key), release[key])
	}
	if release["ID"] == "" {
		s.add(parity.Item{Key: "id", Unknown: "the machine has no os-release"})
	}
	s.put("architecture", said.first("machine"))
	s.put("kernel", said.first("kernel"))
	s.put("kernel_build", said.first("build"))
	newest := newestKernel(said["installed"], said.first("kernel"))
	if newest == "" { // Alpine's /boot/vmlinuz-lts does not say which
		newest = newestKernel(said["modules"], said.first("kernel"))
	}
	s.put("kernel_newest", newest)
	s.put("kernel_livepatch", strings.Join(slices.Compact(slices.Sorted(slices.Values(said["livepatch"]))), ", "))
	s.put("reboot_pending", said.reboot(newest))
	s.put("cpus", said.cpus())
	s.put("memory", said.memory())
	s.put("virtualization", said.virtualization())
	return s.list, nil
}

// unquote is a value of os-release(5), which is written as a shell would read it.
func unquote(text string) string {
	if len(text) < 2 || text[0] != '"' && text[0] != '\'' || text[len(text)-1] != text[0] {
		return text
	}
	quote, text := text[0], text[1:len(text)-1]
	if quote == '\'' {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && strings.IndexByte("\"$\\`", text[i+1]) >= 0 {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// container is what sort of container the machine is, "" where it is none. systemd-detect-virt names them (its manual page has the list).
func (s systemSaid) container() string {
	switch s.first("container") {
	case ".dockerenv":
		return "docker"
	case ".containerenv":
		return "podman"
	case "":
	default:
		return s.first("container")
	}
	virt := s.first("virt")
	if slices.Contains([]string{"openvz", "lxc", "lxc-libvirt", "systemd-nspawn", "docker", "podman", "rkt", "wsl", "proot", "pouch", "container-other"}, virt) {
		return virt
	}
	return ""
}

func (s systemSaid) virtualization() string {
	return cmp.Or(s.container(), s.first("virt"), strings.TrimSpace(s.first("vendor")+" "+s.first("product")))
}

// newestKernel is the newest installed one of the running one's flavour: beside a kernel for other processors or uses it is neither newer nor older.
func newestKernel(installed []string, running string) string {
	newest := ""
	for _, k := range installed {
		if !strings.ContainsAny(k[:min(len(k), 1)], "0123456789") || strings.Contains(k, "rescue") || running != "" && flavour(k) != flavour(running) {
			continue
		}
		if order, ok := parity.CompareVersions(parity.RPM, k, newest); newest == "" || ok && order > 0 {
			newest = k
		}
	}
	return newest
}

// flavour is the part of a kernel's release that says for what it was built: 6.1.0-28-cloud-amd64, 6.12.25+rpt-rpi-v8, 6.6.58-0-lts, 5.14.0-427.el9.x86_64+debug.
func flavour(release string) string {
	var words []string
	for word := range strings.SplitSeq(release, "-") {
		if word != "" && (word[0] < '0' || word[0] > '9') {
			words = append(words, word)
		}
	}
	_, variant, _ := strings.Cut(release[strings.LastIndexByte(release, '-')+1:], "+")
	if len(words) == 0 {
		return "+" + variant
	}
	return strings.Join(words, "-")
}

// reboot is why the machine should be rebooted, or "no". A container's kernel is its host's, which reboots without it.
func (s systemSaid) reboot(newest string) string {
	var reasons []string
	if s.first("reboot") != "" {
		packages := slices.Compact(slices.Sorted(slices.Values(s["for"])))
		reason := s.first("reboot") + " is there"
		if len(packages) > 0 {
			reason += ", for " + strings.Join(packages, ", ")
		}
		reasons = append(reasons, reason)
	}
	if running := s.first("kernel"); newest != "" && running != "" && newest != running && s.container() == "" {
		reasons = append(reasons, fmt.Sprintf("kernel %s runs, %s is installed", running, newest))
	}
	return cmp.Or(strings.Join(reasons, "; "), "no")
}

// cpus is how many processors there are, and how much of them a container may use.
func (s systemSaid) cpus() string {
	n := countRanges(s.first("online"))
	if n == 0 {
		n, _ = strconv.Atoi(s.first("processors"))
	}
	if set := countRanges(s.first("cpuset")); set > 0 && (n == 0 || set < n) {
		n = set
	}
	if n <= 0 {
		return ""
	}
	text := strconv.Itoa(n)
	var quota, period float64
	if _, err := fmt.Sscanf(s.first("cpumax"), "%f %f", &quota, &period); err == nil && period > 0 && quota > 0 {
		text += fmt.Sprintf(", of which it may use %.3g", quota/period)
	}
	return text
}

// countRanges counts what a list such as 0-3,8 holds; 0 where it is none.
func countRanges(list string) int {
	n := 0
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first || last > 1<<20 {
			return 0
		}
		n += last - first + 1
	}
	return n
}

// memory is the machine's in MiB. What the kernel calls its total is less than there is by what it took for itself, which differs by some pages from boot to boot, so
// what the firmware gave is preferred; that has holes of a few hundred KiB. The other is rounded up, too.
func (s systemSaid) memory() string {
	var bytes uint64
	for _, at := range s["ram"] {
		var from, to uint64
		if _, err := fmt.Sscanf(at, "%x-%x", &from, &to); err == nil && to > from && to < 1<<50 {
			bytes += to - from + 1
		}
	}
	const firmware, kernel = 16, 128 // MiB, to the next of which they are rounded up
	step := uint64(firmware)
	if kib, err := strconv.ParseUint(strings.TrimSuffix(s.first("memory"), " kB"), 10, 46); err == nil && (bytes == 0 || s.container() != "") {
		bytes, step = kib<<10, kernel
	}
	if limit, err := strconv.ParseUint(s.first("memmax"), 10, 56); err == nil && limit < bytes {
		bytes, step = limit, 1
	}
	if bytes == 0 || bytes > 1<<60 {
		return ""
	}
	mib := (bytes + 1<<20 - 1) >> 20
	return fmt.Sprintf("%d MiB", (mib+step-1)/step*step)
}
