// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// consoleLines is how much of a machine's console a failure shows.
const consoleLines = 15

// report tells why a verb failed: each failure on its own, with what to do next.
func (a *App) report(err error) {
	for _, e := range flatten(err) {
		if list, ok := errors.AsType[problem.List](e); ok {
			_ = problem.Print(a.Stderr, list, a.color(a.Stderr))
			continue
		}
		fmt.Fprintf(a.Stderr, "evenkeel: %s\n", strings.TrimSpace(providers.Printable(e.Error())))
		if s, ok := errors.AsType[*providers.StageError](e); ok {
			printConsole(a.Stderr, s)
		}
		if h := hint(e); h != "" {
			fmt.Fprintf(a.Stderr, "  hint: %s\n", strings.TrimSpace(providers.Printable(h)))
		}
	}
}

// reportInterrupt tells what an interruption came to: what was cancelled is no news, what could not be undone is.
func (a *App) reportInterrupt(ctx context.Context, err error) {
	if left := notCancels(err); len(left) > 0 {
		a.report(errors.Join(left...))
		fmt.Fprintln(a.Stderr, "evenkeel: interrupted, but not all could be undone; `evenkeel down` removes what is left")
		return
	}
	fmt.Fprintf(a.Stderr, "evenkeel: %v\n", context.Cause(ctx))
}

// notCancels are the failures in err that no interruption explains.
func notCancels(err error) []error {
	return slices.DeleteFunc(flatten(err), func(e error) bool { return errors.Is(e, context.Canceled) })
}

// flatten is the failures that were joined into err, each once.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) // not deeper: a join down there belongs to its own message
	if !ok || !isJoin(err, joined.Unwrap()) {
		return []error{err}
	}
	var all []error
	seen := map[string]bool{}
	for _, e := range joined.Unwrap() {
		for _, f := range flatten(e) {
			if !seen[f.Error()] {
				seen[f.Error()] = true
				all = append(all, f)
			}
		}
	}
	return all
}

// isJoin tells errors.Join, whose text is its members' and nothing else, from an fmt.Errorf with several %w.
func isJoin(err error, members []error) bool {
	var lines []string
	for _, e := range members {
		lines = append(lines, e.Error())
	}
	return err.Error() == strings.Join(lines, "\n")
}

func hint(err error) string {
	if u, ok := errors.AsType[*usageError](err); ok {
		return u.hint
	}
	if s, ok := errors.AsType[*providers.StageError](err); ok && s.Hint != "" {
		return s.Hint
	}
	if e, ok := errors.AsType[*providers.Error](err); ok {
		return e.Hint
	}
	if errors.Is(err, ssh.ErrAuth) {
		return "name yours with --identity; whose keys let in says: evenkeel access"
	}
	return ""
}

func printConsole(w io.Writer, e *providers.StageError) {
	text := strings.TrimSpace(providers.Printable(e.Console))
	if text == "" {
		return
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-consoleLines):]
	fmt.Fprintf(w, "  the last lines of %s's console:\n", e.Machine)
	for _, l := range lines {
		fmt.Fprintf(w, "  | %s\n", l)
	}
}
