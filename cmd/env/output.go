// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evenkeel/evenkeel/providers"
)

// printJSON writes v as people and programs read it: indented, its keys in the order of the type.
func (a *App) printJSON(v any) error {
	enc := json.NewEncoder(a.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("cannot print the result: %w", err)
	}
	return nil
}

// table is rows under a heading, columns apart by two spaces. Cells are printed safe for a terminal.
type table struct{ rows [][]string }

func newTable(heading ...string) *table { return &table{[][]string{heading}} }

func (t *table) add(cells ...string) {
	for i, c := range cells {
		if c == "" {
			c = "-"
		}
		cells[i] = strings.ReplaceAll(providers.Printable(c), "\n", " ")
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(w io.Writer) error {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		line := ""
		for i, c := range row {
			line += c + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printf writes a line of the result.
func (a *App) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.Stdout, format, args...)
	return err
}

// urls are where a machine's published ports are reached from this computer.
func urls(m providers.Machine) []string {
	list := []string{}
	for _, p := range m.Ports {
		if p.HostPort != 0 {
			list = append(list, url(p))
		}
	}
	return list
}

func url(p providers.Port) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme(p), p.HostPort) }

// published is urls for people: of several each says which of the machine's ports it is.
func published(m providers.Machine) string {
	all := urls(m)
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	var list []string
	for _, p := range m.Ports {
		if p.HostPort != 0 {
			list = append(list, fmt.Sprintf("%d at %s", p.Port, url(p)))
		}
	}
	return strings.Join(list, ", ")
}

// scheme is what is most likely spoken on a port.
func scheme(p providers.Port) string {
	switch {
	case p.Proto != "tcp":
		return p.Proto
	case p.Port == 443 || p.Port == 8443:
		return "https"
	case p.Port == 80 || p.Port == 3000 || p.Port == 5000 || p.Port >= 8000 && p.Port < 9000:
		return "http"
	}
	return p.Proto
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// took is a time span as people say it.
func took(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// size is an amount of bytes as people say it.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 3 {
		f /= unit
		i++
	}
	return fmt.Sprintf("%s %ciB", strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0"), "KMGT"[i])
}

// age is how long ago t was, in one unit.
func age(t time.Time) string {
	d := time.Since(t)
	switch {
	case t.IsZero():
		return ""
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0fm", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0fh", d.Hours())
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}
