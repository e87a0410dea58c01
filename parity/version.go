// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"strings"

	"github.com/google/osv-scalibr/semantic"
)

// Manager is a package manager, whose rules order versions.
type Manager string

const (
	DPKG Manager = "dpkg"
	RPM  Manager = "rpm"
	APK  Manager = "apk"
)

// managerOf is the package manager of a system by the ID of its os-release, or by what it says to be like; "" where neither is known.
func managerOf(ids string) Manager {
	for _, id := range strings.Fields(ids) {
		switch strings.Trim(id, `"'`) {
		case "debian", "ubuntu", "raspbian", "linuxmint", "devuan", "kali":
			return DPKG
		case "rhel", "fedora", "centos", "rocky", "almalinux", "ol", "amzn", "suse", "opensuse", "opensuse-leap", "opensuse-tumbleweed", "sles", "openEuler", "mageia":
			return RPM
		case "alpine", "wolfi", "chainguard":
			return APK
		}
	}
	return ""
}

// maxVersion is the length of a version that is still ordered, in bytes; the longest of Debian's archive has 87.
const maxVersion = 512

// CompareVersions orders two versions by the manager's rules: -1 where a is older than b, 0 where they are equal, 1 where it is newer. ok is false
// where there is no order: the manager is unknown, or one of them is no version. "Newer" says nothing of better: a distribution mends old versions.
func CompareVersions(m Manager, a, b string) (order int, ok bool) {
	if a == "" || b == "" || len(a) > maxVersion || len(b) > maxVersion || strings.ContainsAny(a+b, " \t\n") {
		return 0, false
	}
	switch m {
	case DPKG:
		return inOrder("Debian", a, b)
	case RPM:
		return inOrder("Red Hat", a, b)
	case APK:
		return compareAPK(a, b)
	}
	return 0, false
}

func inOrder(ecosystem, a, b string) (int, bool) {
	v, err := semantic.Parse(a, ecosystem)
	if err != nil {
		return 0, false
	}
	order, err := v.CompareStr(b)
	if err != nil {
		return 0, false
	}
	return cmp.Compare(order, 0), true
}

// compareAPK adds what the library leaves out (apk-package(5)): the hash of a commit (1.2_git3~4f2a-r1), which stands between suffixes and revision, where
// texts decide between two and one is newer than none; and that 1.2_cvs is newer than 1.2.
func compareAPK(a, b string) (int, bool) {
	va, ha, ra := splitAPK(a)
	vb, hb, rb := splitAPK(b)
	order, ok := inOrder("Alpine", va, vb)
	if !ok || order != 0 {
		return order, ok
	}
	if order = cmp.Or(cmp.Compare(strings.Count(va, "_cvs"), strings.Count(vb, "_cvs")), strings.Compare(ha, hb)); order != 0 {
		return order, true
	}
	return inOrder("Alpine", "0"+ra, "0"+rb)
}

// splitAPK takes a version apart; the revision keeps its -r.
func splitAPK(v string) (version, hash, revision string) {
	version, hash, found := strings.Cut(v, "~")
	if !found {
		if i := strings.LastIndex(v, "-r"); i >= 0 {
			return v[:i], "", v[i:]
		}
		return v, "", ""
	}
	if i := strings.LastIndex(hash, "-r"); i >= 0 {
		return version, hash[:i], hash[i:]
	}
	return version, hash, ""
}

// newestOf is the newest of a package's versions, which stand in one value, joined by ", "; what follows a version after a space is its state.
func newestOf(m Manager, value string) string {
	newest := ""
	for v := range strings.SplitSeq(value, ", ") {
		v, _, _ = strings.Cut(strings.TrimSpace(v), " ")
		if order, ok := CompareVersions(m, v, newest); newest == "" || ok && order > 0 {
			newest = v
		}
	}
	return newest
}

// orderOf is Cell.Order of a package's value against the reference's.
func orderOf(m Manager, value, reference string) int {
	order, _ := CompareVersions(m, newestOf(m, value), newestOf(m, reference))
	return order
}
