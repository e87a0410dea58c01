// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/internal/bounded"
	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// answer is what a machine said to one exec.
type answer struct {
	begun      bool
	taken      time.Time // half-way between question and header
	skew       float64   // seconds
	script     string    // digest of what ran
	sections   map[string]parity.Section
	unresolved []string // said to be known, and not found any longer
	err        error    // why it is not whole
}

// lastWords is how long a collector may take to end after its last word.
const lastWords = 2 * time.Second

// ask runs the collector once. known are digests that are offered, in full.
func (c *collector) ask(ctx context.Context, client *ssh.Client, only, known []string) *answer {
	a := &answer{sections: map[string]parity.Section{}, script: c.digest}
	asked := time.Now()
	in := io.MultiReader(strings.NewReader(inputLine(only, known)), strings.NewReader(c.script))
	from, to := io.Pipe()
	var said bounded.Tail
	run, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		err := client.Run(run, ssh.Command{Line: c.line, Stdin: in, Stdout: to, Stderr: &said})
		_ = to.CloseWithError(err) // nil: EOF
		ended <- err
	}()
	err := readFrames(from, hearer{
		begun: func(h header) {
			heard := time.Now()
			half := asked.Add(heard.Sub(asked) / 2)
			a.begun, a.taken = true, half.UTC().Truncate(time.Microsecond)
			a.skew = skewOf(h.clock, half)
			a.script = cmp.Or(h.self, c.digest)
		},
		long: func() (func(), error) { return c.shared.long.enter(ctx) },
		each: func(f frame) { c.take(ctx, a, f, known) },
	})
	if err != nil {
		stop()
	} else {
		defer time.AfterFunc(lastWords, stop).Stop()
	}
	_ = from.CloseWithError(errors.New("no more is read"))
	runErr := <-ended
	switch cause := context.Cause(ctx); {
	case err == nil:
	case cause != nil:
		a.err = cause
	case !a.begun:
		a.err = errors.New(c.mask.text(withSaid(runErr, err, &said).Error(), false))
	default:
		a.err = err
	}
	return a
}

// withSaid is why the collector did not even begin.
func withSaid(run, read error, said *bounded.Tail) error {
	err := read
	if exit, ok := errors.AsType[*ssh.ExitError](run); ok {
		err = exit
	} else if run != nil && !errors.Is(run, context.Canceled) { // that is our own doing
		err = run
	}
	if words := strings.TrimSpace(said.String()); words != "" {
		words = words[strings.LastIndexByte(words, '\n')+1:]
		return fmt.Errorf("it did not run the collector: %w: %s", err, words)
	}
	return fmt.Errorf("it did not run the collector: %w", err)
}

// skewOf is rounded to a millisecond: more is not known.
func skewOf(clock float64, half time.Time) float64 {
	ms := int64(clock*1000) - half.UnixMilli()
	return float64(ms) / 1000
}

// take takes in a section that came.
func (c *collector) take(ctx context.Context, a *answer, f frame, known []string) {
	g := c.groups[f.name]
	if g == nil {
		return // not asked for; an other copy of the collector reads more
	}
	if _, twice := a.sections[f.name]; twice {
		a.sections[f.name] = unknownSection(g, "the machine says it twice")
		return
	}
	if f.how == "unknown" {
		a.sections[f.name] = unknownSection(g, c.mask.text(cmp.Or(string(f.raw[:min(len(f.raw), 8*maxReason)]), "the machine does not say why"), false))
		return
	}
	id := SectionID{Group: f.name, Script: c.maker(a.script), Raw: f.digest, KeyID: c.mask.KeyID()}
	if f.how == "known" {
		section, ok := c.known(ctx, id, known)
		switch {
		case ok:
			a.sections[f.name] = section
		case !slices.Contains(known, f.digest):
			a.sections[f.name] = unknownSection(g, "the machine says that it is known, which it is not")
		default:
			a.unresolved = append(a.unresolved, f.name)
		}
		return
	}
	sum := sha256.Sum256(f.raw)
	id.Raw = hex.EncodeToString(sum[:])
	if f.digest != "" && f.digest != id.Raw {
		a.sections[f.name] = unknownSection(g, "what came has another digest than the machine said")
		return
	}
	a.sections[f.name] = c.parse(ctx, id, f.raw)
}

// maker is what stands for a collector and the parsers in a SectionID.
func (c *collector) maker(script string) string {
	sum := sha256.Sum256([]byte(script + " " + c.Parser))
	return hex.EncodeToString(sum[:])
}
