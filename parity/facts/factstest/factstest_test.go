// SPDX-License-Identifier: Apache-2.0

package factstest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts/factstest"
)

// lines takes KEY=VALUE lines.
func lines(raw []byte) ([]parity.Item, error) {
	var items []parity.Item
	for line := range strings.Lines(string(raw)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return nil, fmt.Errorf("no = in %q", line)
		}
		items = append(items, parity.Item{Key: key, Value: value})
	}
	return items, nil
}

func TestGroupsRunAlikeUnderEveryShell(t *testing.T) {
	g := collectors.Group{Name: "test", Lane: parity.Stable, Parse: lines}
	for _, shell := range factstest.Shells(t) {
		for _, c := range []struct{ name, script, raw, unknown string }{
			{"says", "echo b=2; echo a=1", "b=2\na=1\n", ""},
			{"no end of line", "printf a=1", "a=1", ""},
			{"empty lines stay", `printf 'a\n\n\n'`, "a\n\n\n", ""},
			{"nothing", ":", "", ""},
			{"a lonely line end", "echo", "\n", ""},
			{"null bytes go", `printf 'a\000b\000'`, "ab", ""},
			{"bytes are counted", `printf '\303\244\377'`, "\u00e4\xff", ""},
			{"pretends to fail", `printf '\n9no\n1no'`, "\n9no\n1no", ""},
			{"pretends to be well", `printf 'a\n0'; exit 1`, "", "ended with status 1"},
			{"unknown", "echo a=1; unknown it is 'not here'", "", "it is not here"},
			{"unknown 0", "unknown 0", "", "0"},
			{"fails", "echo first >&2; echo last >&2; exit 3", "", "ended with status 3: last"},
			{"complains and is well", "echo oh >&2; echo a=1", "a=1\n", ""},
			{"false", "false", "", "ended with status 1"},
			{"no such program", "no-such-program 2>/dev/null", "", "ended with status 127"},
			{"stdin is empty", "cat; echo a=1", "a=1\n", ""},
			{"locale", "echo $LC_ALL $(umask | tail -c 4)", "C 077\n", ""},
			{"root", "echo $root", "1\n", ""},
			{"have", "have sh cat && have nope || echo no", "no\n", ""},
			{"long", "i=0; while [ $i -lt 9000 ]; do echo 'abcdefgh'; i=$((i+1)); done", strings.Repeat("abcdefgh\n", 9000), ""},
			{"variables stay inside", "ek_raw=x; ek_s=1; ek_nl=y; echo a", "a\n", ""},
		} {
			g.Script = c.script
			raw, unknown := factstest.Raw(t, g, factstest.Options{Shell: shell})
			if string(raw) != c.raw || !strings.HasPrefix(unknown, c.unknown) || (unknown == "") != (c.unknown == "") {
				t.Errorf("%v, %s: got %.80q, unknown %q; want %.80q, %q", shell, c.name, raw, unknown, c.raw, c.unknown)
			}
		}
		g.Script = "echo $root; id -u; needs_root"
		if _, unknown := factstest.Raw(t, g, factstest.Options{Shell: shell, Plain: true}); !strings.HasPrefix(unknown, "only root") {
			t.Errorf("%v: needs_root as nobody: %q", shell, unknown)
		}
	}
}

func TestASectionIsParsedAndInOrder(t *testing.T) {
	g := collectors.Group{Name: "test", Lane: parity.Place, Script: "echo b=2; echo a=1", Parse: lines}
	s := factstest.Run(t, g, factstest.Options{})
	if s.Name != "test" || s.Lane != parity.Place || s.Unknown != "" || s.Digest == "" || len(s.Items) != 2 || s.Items[0] != (parity.Item{Key: "a", Value: "1"}) {
		t.Errorf("got %+v", s)
	}
}
