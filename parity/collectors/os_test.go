// SPDX-License-Identifier: Apache-2.0

package collectors_test

import (
	"os"
	"strings"
	"testing"
)

func TestSystem(t *testing.T) { testGolden(t, "os") }

func TestSystemOfThisMachine(t *testing.T) {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	eachWay(t, "os", func(t *testing.T, r read) {
		got := r.known(t)
		if want := strings.TrimSpace(string(kernel)); value(got, "kernel") != want {
			t.Errorf("kernel is %q, want %q", value(got, "kernel"), want)
		}
		for _, key := range []string{"id", "architecture", "cpus", "memory", "reboot_pending"} {
			if value(got, key) == "" {
				t.Errorf("%s is missing of %v", key, got)
			}
		}
	})
}

func TestRebootPending(t *testing.T) {
	cases := map[string]struct{ raw, want string }{
		"nothing":                          {"kernel 6.1.0-28-amd64\ninstalled 6.1.0-28-amd64", "no"},
		"an older kernel is kept":          {"kernel 6.12.100-amd64\ninstalled 6.12.96-amd64\ninstalled 6.12.100-amd64", "no"},
		"a newer kernel waits":             {"kernel 6.12.96-amd64\ninstalled 6.12.96-amd64\ninstalled 6.12.100-amd64", "kernel 6.12.96-amd64 runs, 6.12.100-amd64 is installed"},
		"a kernel of another flavour":      {"kernel 6.12.25+rpt-rpi-v8\ninstalled 6.12.25+rpt-rpi-v8\ninstalled 6.12.34+rpt-rpi-2712", "no"},
		"a debugging kernel":               {"kernel 5.14.0-427.el9.x86_64\ninstalled 5.14.0-427.el9.x86_64\ninstalled 5.14.0-503.el9.x86_64+debug", "no"},
		"a rescue kernel":                  {"kernel 5.14.0-427.el9.x86_64\ninstalled 5.14.0-427.el9.x86_64\ninstalled 0-rescue-2f4a", "no"},
		"a kernel of the place":            {"kernel 6.9.3-linode164", "no"},
		"the kernel of a container's host": {"virt lxc\nkernel 6.1.0-28-amd64\ninstalled 6.1.0-30-amd64", "no"},
		"packages say so":                  {"kernel 6.1.0-28-amd64\nreboot /run/reboot-required\nfor libc6\nfor dbus\nfor libc6", "/run/reboot-required is there, for dbus, libc6"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			if got := value(items(t, group(t, "os"), []byte(test.raw)), "reboot_pending"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A patched kernel is still the one that was booted: three figures, none of which says the others.
func TestRunningInstalledAndLivepatchedKernelsAreThreeFacts(t *testing.T) {
	got := items(t, group(t, "os"), []byte("release ID=ubuntu\nkernel 6.8.0-45-generic\ninstalled 6.8.0-45-generic\ninstalled 6.8.0-48-generic\nlivepatch lkp_Ubuntu_6_8_0_45_45_generic_107\nlivepatch a"))
	for key, want := range map[string]string{
		"kernel": "6.8.0-45-generic", "kernel_newest": "6.8.0-48-generic", "kernel_livepatch": "a, lkp_Ubuntu_6_8_0_45_45_generic_107", "reboot_pending": "kernel 6.8.0-45-generic runs, 6.8.0-48-generic is installed",
	} {
		if value(got, key) != want {
			t.Errorf("%s is %q, want %q", key, value(got, key), want)
		}
	}
}

func TestSizeOfAMachine(t *testing.T) {
	cases := map[string]struct{ raw, cpus, memory string }{
		"a virtual machine":             {"online 0-1\nram 00001000-0009fbff\nram 00100000-1ffdffff\nmemory 485012 kB", "2", "512 MiB"},
		"the same, some pages less":     {"online 0-1\nram 00001000-0009fbff\nram 00100000-1ffdffff\nmemory 484996 kB", "2", "512 MiB"},
		"read by a user":                {"online 0,2-3\nram 00000000-00000000\nmemory 485012 kB", "3", "512 MiB"},
		"a container with limits":       {"container lxc\nonline 0-15\ncpuset 2-3\ncpumax 150000 100000\nmemory 65808376 kB\nmemmax 1073741824", "2, of which it may use 1.5", "1024 MiB"},
		"a container without":           {"container docker\nonline 0-3\ncpumax max 100000\nmemmax max\nram 00100000-3fffffff\nmemory 1000000 kB", "4", "1024 MiB"},
		"numbers that cannot be":        {"online 5-1\nram ffffffffffffffff-0\nmemory -1 kB\nmemmax x", "", ""},
		"a range that would never end":  {"online 0-999999999999", "", ""},
		"no /sys, as in many a chroot":  {"processors 8\nmemory 1048576 kB", "8", "1024 MiB"},
		"firmware that says impossible": {"ram 0-ffffffffffffff\nmemory 1048576 kB", "", "1024 MiB"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got := items(t, group(t, "os"), []byte(test.raw))
			if value(got, "cpus") != test.cpus || value(got, "memory") != test.memory {
				t.Errorf("got %q and %q, want %q and %q", value(got, "cpus"), value(got, "memory"), test.cpus, test.memory)
			}
		})
	}
}

func FuzzSystem(f *testing.F) {
	fuzz(f, "os", "release ID=\"de\\\"bian\"\nkernel 1-2\ninstalled 2\nonline 0-3\nram 0-f\nreboot x")
}
