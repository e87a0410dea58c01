// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/evenkeel/evenkeel/providers"
)

// logLines is how many records of each machine are shown where nothing else bounds them; ten where --follow goes on from there, as journalctl has it.
const logLines = 100

func (a *App) logsVerb() verb {
	return verb{
		name: "logs", args: "[NAME...]", about: "show the machines' journals, merged by time",
		more: fmt.Sprintf("Without --lines, --since or --boot it shows the last %d records of each machine. A machine that cannot be read is told, and the exit status is 3; "+
			"the others are shown. With --json each record is one line with all its fields and the machine's name.", logLines),
		flags: []cli.Flag{
			boolFlag("follow", "go on until interrupted", "f"), // which is what hands know, so --file is said in full here
			&cli.StringFlag{Name: "file", Usage: "the definition is `FILE`, not the next env.yaml upwards"},
			&cli.StringFlag{Name: "since", Usage: "show what is not older than `TIME`: 10m, 2h, today, \"2026-11-21 14:00\""},
			&cli.StringFlag{Name: "lines", Aliases: []string{"n"}, Usage: "show the last `N` records of each machine, or all"},
			&cli.StringFlag{Name: "unit", Aliases: []string{"u"}, Usage: "show those of `UNIT` only"},
			boolFlag("boot", "show those since the machine's last boot", "b"),
		},
		lacks: []string{"file"},
		run:   runLogs,
	}
}

func runLogs(ctx context.Context, c *call) error {
	if c.cut {
		return usagef("logs takes machine names, got -- besides")
	}
	o, err := c.logOptions()
	if err != nil {
		return err
	}
	p, err := c.open(ctx, placeOptions{identity: true})
	if err != nil {
		return err
	}
	defer p.close()
	show := c.logLine(p)
	failures := 0
	err = p.Logs(ctx, c.args, o, show, func(f providers.LogFailure) {
		failures++
		fmt.Fprintf(c.Stderr, "evenkeel: cannot read the journal of %s: %s\n", f.Machine, oneLine(f.Err.Error()))
		if h := hint(f.Err); h != "" {
			fmt.Fprintf(c.Stderr, "  hint: %s\n", oneLine(h))
		}
	})
	if err == nil && failures > 0 {
		return exitStatus(exitIncomplete)
	}
	return err
}

func (c *call) logOptions() (providers.LogOptions, error) {
	o := providers.LogOptions{
		Follow: c.flag.Bool("follow"), Since: c.flag.String("since"), Unit: c.flag.String("unit"), Boot: c.flag.Bool("boot"), Full: c.json(), Lines: -1,
	}
	if d, err := time.ParseDuration(o.Since); err == nil {
		if d <= 0 {
			return o, usagef("--since: got %q; allowed is a time span such as 10m, or a time as journalctl reads it", o.Since)
		}
		o.Since, o.Ago = "", d
	}
	switch text := c.flag.String("lines"); {
	case text == "all":
	case text != "":
		if _, err := fmt.Sscanf(text+"\n", "%d\n", &o.Lines); err != nil || o.Lines < 0 {
			return o, usagef("--lines: got %q; allowed is a number, or all", text)
		}
	case o.Since != "" || o.Ago > 0 || o.Boot:
	case o.Follow:
		o.Lines = 10
	default:
		o.Lines = logLines
	}
	return o, nil
}

// logLine is how one record is printed.
func (c *call) logLine(p *place) func(providers.LogRecord) error {
	if c.json() {
		return c.printRecord
	}
	width, paint := 0, map[string]string{}
	colors := []string{"36", "33", "32", "35", "34", "31"}
	for i, m := range p.Plan.Machines {
		width = max(width, utf8.RuneCountInString(m.Name))
		if c.color(c.Stdout) {
			paint[m.Name] = colors[i%len(colors)]
		}
	}
	return func(r providers.LogRecord) error {
		who := fmt.Sprintf("%-*s", width, r.Machine)
		if color := paint[r.Machine]; color != "" {
			who = "\x1b[" + color + "m" + who + "\x1b[0m"
		}
		from := r.Name
		if r.PID != "" {
			from += "[" + r.PID + "]"
		}
		var b strings.Builder
		for line := range strings.SplitSeq(strings.TrimRight(r.Message, "\n"), "\n") {
			fmt.Fprintf(&b, "%s %s %s: %s\n", who, r.Time.Local().Format("Jan 02 15:04:05"), oneLine(from), strings.ReplaceAll(providers.Printable(line), "\n", " "))
		}
		return c.printf("%s", b.String())
	}
}

// printRecord writes a record as the journal has it, with the machine's name, on one line.
func (c *call) printRecord(r providers.LogRecord) error {
	fields := r.Fields
	if fields == nil { // a remark of ours
		message, err := json.Marshal(r.Message)
		if err != nil {
			return err
		}
		fields = map[string]json.RawMessage{"MESSAGE": message}
	}
	name, err := json.Marshal(r.Machine)
	if err != nil {
		return err
	}
	fields["machine"] = name // the journal's own are in capitals
	line, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return c.printf("%s\n", line)
}
