// SPDX-License-Identifier: Apache-2.0

package parity_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
)

// The vectors of dpkg and rpm were made with the programs themselves; those of apk stand in its manual.
func TestVersionsOrderAsTheirManagersSay(t *testing.T) {
	for _, m := range []parity.Manager{parity.DPKG, parity.RPM, parity.APK} {
		f, err := os.Open(filepath.Join("testdata", "versions", string(m)+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n := 0
		for lines := bufio.NewScanner(f); lines.Scan(); {
			w := strings.Fields(lines.Text())
			if len(w) != 3 || w[0] == "#" {
				continue
			}
			n++
			want := strings.Index("<=>", w[1]) - 1
			if got, ok := parity.CompareVersions(m, w[0], w[2]); got != want || !ok {
				t.Errorf("%s: %s: got %d, %v", m, lines.Text(), got, ok)
			}
			if got, ok := parity.CompareVersions(m, w[2], w[0]); got != -want || !ok {
				t.Errorf("%s: %s, the other way round: got %d, %v", m, lines.Text(), got, ok)
			}
		}
		if n < 30 {
			t.Errorf("%s: only %d vectors", m, n)
		}
	}
}

func TestWhatIsNoVersionHasNoOrder(t *testing.T) {
	for _, c := range [][3]string{{"", "1", "2"}, {"dpkg", "", "1"}, {"dpkg", "1 2", "1"}, {"rpm", "1", strings.Repeat("9", 5000)}} {
		if got, ok := parity.CompareVersions(parity.Manager(c[0]), c[1], c[2]); ok || got != 0 {
			t.Errorf("%v: got %d, %v", c, got, ok)
		}
	}
}

func FuzzVersions(f *testing.F) {
	f.Add("1:1.0~rc1-1+b1", "1.0^git_p1~ab-r3")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, m := range []parity.Manager{parity.DPKG, parity.RPM, parity.APK} {
			ab, ok := parity.CompareVersions(m, a, b)
			ba, ok2 := parity.CompareVersions(m, b, a)
			if ok != ok2 {
				t.Fatalf("%s: %q and %q can be ordered one way only", m, a, b)
			}
			if same, _ := parity.CompareVersions(m, a, a); same != 0 || m == parity.DPKG && ab != -ba {
				t.Fatalf("%s: %q and %q: %d and %d, with itself %d", m, a, b, ab, ba, same)
			}
		}
	})
}
