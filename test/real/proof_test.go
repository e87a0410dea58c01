// SPDX-License-Identifier: Apache-2.0

package real_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/test/conformance"
)

// onePackage is what somebody installs by hand.
const onePackage = `set -e; rm -rf /tmp/hello; mkdir -p /tmp/hello/DEBIAN
printf 'Package: hello-evenkeel\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' >/tmp/hello/DEBIAN/control
dpkg-deb --root-owner-group -b /tmp/hello /tmp/hello.deb && dpkg -i /tmp/hello.deb && rm -r /tmp/hello /tmp/hello.deb`

// TestVirtualMachinesAndContainersAreTheSame is the idea of all of it: the example as virtual machines and as containers at once. An audit finds no difference, and says
// once what cannot be compared; after one package was installed by hand in one container it finds that, and nothing else.
func TestVirtualMachinesAndContainersAreTheSame(t *testing.T) {
	s := newSite(t, func(yaml string) string {
		return strings.NewReplacer("name: shop\n", "name: realproof\n", `id: "7f3a9c"`, `id: "9700f5"`).Replace(yaml)
	})
	conformance.Require(t, "docker", s.reach("ci"))
	t.Cleanup(func() {
		s.run(0, "down", "--data", "--tier", "ci")
		s.run(0, "down", "--data")
		s.wantNothing("realproof.laptop")
	})
	s.run(0, "up", "--tier", "ci")
	s.run(0, "up")

	for range 2 { // whenever it is asked
		r := s.audit(0)
		if len(r.Rows) != 0 || r.Checked.Unknown != 0 || r.Checked.Machines != 6 {
			t.Fatalf("virtual machines and containers of one image: got %d rows, checked %+v:\n%s", len(r.Rows), r.Checked, strings.Join(rowsOf(r), "\n"))
		}
		said := slices.DeleteFunc(slices.Clone(r.Notes), func(n string) bool { return !strings.Contains(n, "run their host's kernel") })
		if len(said) != 1 {
			t.Errorf("got notes %q, want what is not compared said once", r.Notes)
		}
	}

	s.run(0, "ssh", "--tier", "ci", "web-2", "--", "sudo sh -c "+quoted(onePackage))
	r := s.audit(2)
	if got := rowsOf(r); !slices.Equal(got, []string{"drift:packages/hello-evenkeel:all"}) {
		t.Errorf("after one package was installed in one container: got\n%s", strings.Join(got, "\n"))
	}
}

func quoted(line string) string { return "'" + strings.ReplaceAll(line, "'", `'\''`) + "'" }

// reach says why a tier's place cannot be had, or nil.
func (s *site) reach(tier string) error {
	if _, said, status := s.try("status", "--tier", tier); status != 0 {
		return &unreachable{said}
	}
	return nil
}

type unreachable struct{ said string }

func (u *unreachable) Error() string { return u.said }
