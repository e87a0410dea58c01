// SPDX-License-Identifier: Apache-2.0

package facts_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
	"github.com/evenkeel/evenkeel/providers/ssh/sshtest"
)

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func packed(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// answer is a machine that reads its input and says what f writes.
func answer(f func(ctx context.Context, w io.Writer)) func(context.Context, *sshtest.Session) int {
	return func(ctx context.Context, s *sshtest.Session) int {
		_, _ = io.Copy(io.Discard, s.Stdin)
		f(ctx, s.Stdout)
		return 0
	}
}

func says(text string) func(context.Context, *sshtest.Session) int {
	return answer(func(_ context.Context, w io.Writer) { _, _ = io.WriteString(w, text) })
}

func header() string { return fmt.Sprintf("evenkeel-facts 1 1 %d.5 -\n", time.Now().Unix()) }

func plain(name, raw string) string {
	return fmt.Sprintf("section %s plain %d -\n%s\n", name, len(raw), raw)
}

// A machine says what it wants: it neither crashes, hangs, bloats nor injects, and costs the machine beside it nothing.
func TestHostileMachines(t *testing.T) {
	r := newRig(t)
	long := strings.Repeat("a=b\n", 1000)
	endless := func(text string) func(context.Context, *sshtest.Session) int {
		return answer(func(ctx context.Context, w io.Writer) {
			chunk := []byte(strings.Repeat(text, 32<<10/len(text)))
			for ctx.Err() == nil {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		})
	}
	after := func(first string, then func(context.Context, *sshtest.Session) int) func(context.Context, *sshtest.Session) int {
		return func(ctx context.Context, s *sshtest.Session) int {
			_, _ = io.WriteString(s.Stdout, first)
			return then(ctx, s)
		}
	}
	silent := func(ctx context.Context, _ *sshtest.Session) int { <-ctx.Done(); return 0 }
	for name, c := range map[string]struct {
		exec func(context.Context, *sshtest.Session) int
		want string
	}{
		"well":                         {says(header() + plain("one", "a=1\n") + plain("two", "b=2\n") + "end\n"), "one{a=1}; two{b=2}"},
		"a banner stands before":       {says("Welcome!\n\x1b[31mred\n\n" + header() + plain("one", "a=1") + plain("two", "") + "end\n"), "one{a=1}; two{}"},
		"a long line stands before":    {says(strings.Repeat("x", 40<<10) + "\n" + header() + plain("one", "") + plain("two", "") + "end\n"), "one{}; two{}"},
		"a banner without end":         {endless("Welcome!\n"), "unreachable: it did not run the collector: it says other things than facts"},
		"a line without end":           {endless("x"), "unreachable: it did not run the collector: it says other things than facts"},
		"says nothing":                 {says(""), "unreachable: it did not run the collector: its answer broke off"},
		"says nothing and stays":       {silent, "unreachable: it did not answer within 10s"},
		"hangs in the middle":          {after(header()+plain("one", "a=1"), silent), "one{a=1}; two?it did not answer within 10s"},
		"hangs in a section":           {after(header()+"section one plain 100 -\nabc", silent), "one?it did not answer within 10s; two?it did not answer within 10s"},
		"does not end":                 {after(header()+plain("one", "a=1")+plain("two", "")+"end\n", silent), "one{a=1}; two{}"},
		"goes on after its end":        {after(header()+plain("one", "a=1")+plain("two", "")+"end\n", endless("x")), "one{a=1}; two{}"},
		"breaks off":                   {says(header() + plain("one", "a=1") + "section two plain 9"), "one{a=1}; two?its answer broke off"},
		"a section is missing":         {says(header() + plain("one", "a=1") + "end\n"), "one{a=1}; two?it did not say anything of it"},
		"a section comes twice":        {says(header() + plain("one", "a=1") + plain("one", "a=2") + plain("two", "") + "end\n"), "one?the machine says it twice; two{}"},
		"a section nobody asked for":   {says(header() + plain("three", "a=1") + plain("one", "") + plain("two", "") + "end\n"), "one{}; two{}"},
		"the content pretends a frame": {says(header() + plain("one", "a=1\nsection two plain 3 -\nb=2\nend\n") + plain("two", "c=3") + "end\n"), `one?what the machine says cannot be read: no = in "section two plain 3 -\n"; two{c=3}`},
		"longer than it said":          {says(header() + "section one plain 1 -\nabc\n" + plain("two", "") + "end\n"), "one?a section is longer than it said; two?a section is longer than it said"},
		"a negative length":            {says(header() + "section one plain -1 -\n\n"), `one?a section begins malformed: "section one plain -1 -"; two?a section begins malformed: "section one plain -1 -"`},
		"announces a gigabyte":         {after(header()+"section one plain 1073741824 -\n", endless("x")), "one?it says more than 32 MiB; two?it says more than 32 MiB"},
		"announces a gigabyte, packed": {after(header()+"section one gzip 1073741824 -\n", endless("x")), "one?it says more than 32 MiB; two?it says more than 32 MiB"},
		"a section of five megabytes":  {says(header() + plain("one", strings.Repeat("a=b\n", 5<<18)) + plain("two", "c=3") + "end\n"), "one?it says 5242880 bytes; at most 4194304 are read; two{c=3}"},
		"sections without end":         {after(header(), endless("section three plain 0 -\n\n")), "one?it says more than 200 sections; two?it says more than 200 sections"},
		"too many lines":               {says(header() + plain("one", strings.Repeat("\n", 200_000)) + plain("two", "") + "end\n"), "one?what the machine says cannot be read: it has 200000 lines; at most 100000 are read; two{}"},
		"packed":                       {says(header() + fmt.Sprintf("section one gzip 4 -\n%s\n", packed("a=1\n")) + plain("two", "") + "end\n"), "one{a=1}; two{}"},
		"packed twice":                 {says(header() + fmt.Sprintf("section one gzip 4 -\n%s\n", packed("a=1\n")+packed("b=2\n")) + plain("two", "") + "end\n"), "one?a section is longer than it said; two?a section is longer than it said"},
		"a bomb":                       {says(header() + fmt.Sprintf("section one gzip 4 -\n%s\n", packed(strings.Repeat("a", 8<<20))) + "end\n"), "one?a section is not as long as it said; two?a section is not as long as it said"},
		"a bomb that says so":          {says(header() + fmt.Sprintf("section one gzip %d -\n%s\n", 6<<20, packed(strings.Repeat("a", 6<<20))) + plain("two", "c=3") + "end\n"), "one?it says 6291456 bytes; at most 4194304 are read; two{c=3}"},
		"not packed at all":            {says(header() + "section one gzip 4 -\na=1\n and more of it\n"), "one?a section cannot be unpacked: gzip: invalid header; two?a section cannot be unpacked: gzip: invalid header"},
		"a digest that lies":           {says(header() + fmt.Sprintf("section one plain 4 %s\na=1\n\n", hexSum("other")) + plain("two", "") + "end\n"), "one?what came has another digest than the machine said; two{}"},
		"a digest that is right":       {says(header() + fmt.Sprintf("section one plain 4 %s\na=1\n\n", hexSum("a=1\n")) + plain("two", "") + "end\n"), "one{a=1}; two{}"},
		"known that was not offered":   {says(header() + fmt.Sprintf("section one known %d %s\n", len(long), hexSum(long)) + plain("two", "") + "end\n"), "one?the machine says that it is known, which it is not; two{}"},
		"known without a digest":       {says(header() + "section one known 4 -\n"), `one?a section begins malformed: "section one known 4 -"; two?a section begins malformed: "section one known 4 -"`},
		"no number for its clock":      {says("evenkeel-facts 1 1 NaN -\n"), `unreachable: it did not run the collector: it does not say what time it has: "NaN"`},
		"a clock of 1e300":             {says("evenkeel-facts 1 1 1e300 -\n"), `unreachable: it did not run the collector: it does not say what time it has: "1e300"`},
		"another format":               {says("evenkeel-facts 2 1 1 -\n"), "unreachable: it did not run the collector: its answer broke off"},
		"unknown, with escapes":        {says(header() + "section one unknown 10 -\n\x1b[31m\r\nno\xff\n" + plain("two", "") + "end\n"), `one?[31m no\xff; two{}`},
		"unknown, very long":           {says(header() + fmt.Sprintf("section one unknown 9000 -\n%s\n", strings.Repeat("x", 9000)) + plain("two", "") + "end\n"), "one?" + strings.Repeat("x", 600) + "...; two{}"},
		"unknown, without a reason":    {says(header() + "section one unknown 0 -\n\n" + plain("two", "") + "end\n"), "one?the machine does not say why; two{}"},
		"bad UTF-8 stays different":    {says(header() + plain("one", "\xff=1\n\xfe=2\n\xff\\xff=3\n") + plain("two", "") + "end\n"), `one{\xfe=2 \xff=1 \xff\\xff=3}; two{}`},
		"keys twice":                   {says(header() + plain("one", "a=1\na=2\n") + plain("two", "") + "end\n"), `one?what the machine says cannot be read: it says "a" twice; two{}`},
		"a key of a megabyte":          {says(header() + plain("one", strings.Repeat("k", 1<<20)+"=1") + plain("two", "") + "end\n"), "one?what the machine says cannot be read: a key has 1048576 bytes; at most 4096 are read; two{}"},
		"an item without a key":        {says(header() + plain("one", "=1") + plain("two", "") + "end\n"), "one?what the machine says cannot be read: an item has no key; two{}"},
		"markup":                       {says(header() + plain("one", "a=</script><img src=x>") + plain("two", "") + "end\n"), "one{a=</script><img src=x>}; two{}"},
		"the parser fails":             {says(header() + plain("two", "panic") + plain("one", "") + "end\n"), "one{}; two?what the machine says cannot be read: the parser of two failed: boom"},
		"the shell says why it cannot": {func(_ context.Context, s *sshtest.Session) int {
			fmt.Fprintln(s.Stderr, "first\nno shell here")
			return 127
		}, "unreachable: it did not run the collector: "},
		"the digest of a copy is wrong": {says("evenkeel-facts 1 1 1 xyz\n"), `unreachable: it did not run the collector: the digest of its collector is none: "xyz"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			two := group("two", "")
			two.Parse = func(raw []byte) ([]parity.Item, error) {
				if string(raw) == "panic" {
					panic("boom")
				}
				return pairs(raw)
			}
			deadline := time.Minute // on a busy computer, too, the machine beside it is in time
			if strings.Contains(c.want, "within") {
				deadline = 10 * time.Second
			}
			began := time.Now()
			all := collect(t, facts.Options{Groups: []collectors.Group{group("one", ""), two}, Deadline: deadline},
				r.machine(t, "bad", c.exec), r.machine(t, "good", says(header()+plain("one", "a=1")+plain("two", "")+"end\n")))
			if got := text(all["bad"]); got != c.want && (!strings.HasSuffix(c.want, ": ") || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if got := text(all["good"]); got != "one{a=1}; two{}" {
				t.Errorf("the machine beside it: got %s", got)
			}
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			for _, s := range all {
				if line, err := parity.MarshalSnapshot(s); err != nil {
					t.Error(err)
				} else if err := parity.ReadSnapshots(bytes.NewReader(line), "own", func(*parity.Snapshot) error { return nil }); err != nil {
					t.Errorf("the snapshot is refused: %v", err)
				}
			}
		})
	}
}
