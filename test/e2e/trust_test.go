// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// On a terminal `up` asks once before anything of the repository's runs, shows all of it, and takes anything but yes for no.
func TestConsentIsAskedForOnATerminal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("true; ", 30) + "echo canary-command; touch $HOME/ran"
	s := newSite(t, map[string]string{"env.yaml": `evenkeel: 1
name: shop
id: "a1b2c3"
image: images/web.yaml
secrets: {TOKEN: {command: ` + long + `}}
machines: {web: {stateless: true}}
tiers: {laptop: {provider: fake, config: {world: WORLD}}}
`})
	ran := func() bool {
		_, err := os.Stat(filepath.Join(s.home, "ran"))
		return err == nil
	}
	for _, answer := range []string{"\n", "no\n", "\x04"} {
		term := newTerminal(t, 300, 40)
		cmd := s.onTerminal(term, "up")
		term.shown.await(t, "[y/N]")
		_, _ = io.WriteString(term, answer)
		if got := status(cmd); got != 1 || ran() {
			t.Fatalf("after the answer %q: got status %d, the command ran: %v\n%s", answer, got, ran(), term.shown)
		}
		for _, want := range []string{long, "may not run here yet", "evenkeel trust"} {
			term.shown.await(t, want) // the terminal may still be read where the command has ended
		}
	}
	if left := leftovers(s.world); len(left) > 0 {
		t.Errorf("a run without its secret left %v", left)
	}

	term := newTerminal(t, 300, 40)
	cmd := s.onTerminal(term, "up")
	term.shown.await(t, "[y/N]")
	_, _ = io.WriteString(term, "\x03")
	if got := status(cmd); got != 130 || ran() {
		t.Errorf("after Ctrl-C: got status %d, the command ran: %v\n%s", got, ran(), term.shown)
	}

	term = newTerminal(t, 300, 40)
	cmd = s.onTerminal(term, "up")
	term.shown.await(t, "[y/N]")
	_, _ = io.WriteString(term, "y\n")
	if got := status(cmd); got != 0 || !ran() {
		t.Fatalf("after yes: got status %d, the command ran: %v\n%s", got, ran(), term.shown)
	}
	s.run(0, "up") // nobody is asked again, nor need be there
	s.run(0, "down")
}
