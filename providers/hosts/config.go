// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/internal/problem"
	"github.com/evenkeel/evenkeel/providers/ssh"
)

// config is the provider's block of a tier. Files are absolute, or begin with ~/: the core makes them so.
type config struct {
	Addresses  []string            // [user@]host[:port]
	Names      names               // what machines are called
	Kinds      map[string][]string // kind by patterns; nil: the one group that a host is in
	SSHConfig  sshConfigFrom
	Inventory  inventoryFrom
	Only       []string // patterns: no other host is listed
	Except     []string // patterns: these are not listed
	KnownHosts []string // files; the first is where new keys are to be added
	CA         []string // host authorities of the whole tier, in authorized_keys form
	User       string   // login where nothing more precise says another
	Via        string   // jump hosts for what has none of its own: [user@]host[:port], several by commas
	home       string
}

// names says what machines are called: by Full as their source calls them, else by the first label of that; Of before both.
type names struct {
	Full bool
	Of   map[string]string
}

type sshConfigFrom struct {
	File  string
	Hosts []string // patterns of those names in it that are machines
}

// inventoryFrom is a file, or what a command printed: the core runs it, after the user's consent.
type inventoryFrom struct {
	File    string
	Command []string
	Output  *string
}

func (c config) empty() bool {
	return len(c.Addresses) == 0 && len(c.SSHConfig.Hosts) == 0 && c.Inventory.File == "" && c.Inventory.Output == nil
}

// decoder gathers problems by path.
type decoder struct {
	home     string
	problems problem.List
}

func (d *decoder) refuse(path, format string, args ...any) {
	d.problems = append(d.problems, problem.Problem{Severity: problem.Error, Path: path, Message: fmt.Sprintf(format, args...)})
}

// decode reads the block strictly: every problem at once.
func decode(raw json.RawMessage, home string) (config, problem.List) {
	d := &decoder{home: home}
	c := config{home: home, KnownHosts: []string{filepath.Join(home, ".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts"}}
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	top := map[string]json.RawMessage{}
	if err := one(raw, &top); err != nil {
		d.refuse("config", "%v", err)
		return c, d.problems
	}
	readers := map[string]func(path string, raw json.RawMessage){
		"addresses": func(path string, raw json.RawMessage) { c.Addresses = d.words(path, raw) },
		"names":     func(path string, raw json.RawMessage) { c.Names = d.names(path, raw) },
		"kinds":     func(path string, raw json.RawMessage) { c.Kinds = d.kinds(path, raw) },
		"ssh_config": func(path string, raw json.RawMessage) {
			if isString(raw) {
				c.SSHConfig.File = d.file(path, d.word(path, raw))
				return
			}
			d.fields(path, raw, map[string]func(string, json.RawMessage){
				"file":  func(path string, raw json.RawMessage) { c.SSHConfig.File = d.file(path, d.word(path, raw)) },
				"hosts": func(path string, raw json.RawMessage) { c.SSHConfig.Hosts = d.patterns(path, raw) },
			})
			if c.SSHConfig.File == "" {
				d.refuse(path, "names no file")
			}
		},
		"inventory": func(path string, raw json.RawMessage) { c.Inventory = d.inventory(path, raw) },
		"only":      func(path string, raw json.RawMessage) { c.Only = d.patterns(path, raw) },
		"except":    func(path string, raw json.RawMessage) { c.Except = d.patterns(path, raw) },
		"known_hosts": func(path string, raw json.RawMessage) {
			files := d.oneOrMore(path, raw)
			c.KnownHosts = nil
			for _, f := range files {
				c.KnownHosts = append(c.KnownHosts, d.file(path, f))
			}
		},
		"ca": func(path string, raw json.RawMessage) {
			for i, line := range d.oneOrMore(path, raw) {
				key, err := ssh.PlainKey(line)
				if err != nil {
					d.refuse(at(path, i), "got %q; needed is a public key such as \"ssh-ed25519 AAAA...\": %v", clip(line), err)
				}
				c.CA = append(c.CA, key)
			}
		},
		"user": func(path string, raw json.RawMessage) {
			if c.User = d.word(path, raw); c.User != "" && !isUser(c.User) {
				d.refuse(path, "got %q, which is no login", clip(c.User))
			}
		},
		"via": func(path string, raw json.RawMessage) {
			c.Via = d.word(path, raw)
			if _, err := parseJumps(c.Via); err != nil {
				d.refuse(path, "%v", err)
			}
		},
	}
	d.take("config", top, readers)
	if c.empty() && len(d.problems) == 0 {
		d.refuse("config", "names no machine; say addresses: [web-1.example], ssh_config: {file: ~/.ssh/config, hosts: [\"web-*\"]}, or inventory: hosts.ini")
	}
	return c, d.problems
}

// one decodes exactly one value.
func one(raw json.RawMessage, to any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(to); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("got a %s", wrong.Value)
		}
		return errors.New("it is no JSON")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the configuration")
	}
	return nil
}

func (d *decoder) fields(path string, raw json.RawMessage, readers map[string]func(string, json.RawMessage)) {
	m := map[string]json.RawMessage{}
	if err := one(raw, &m); err != nil {
		d.refuse(path, "%v; allowed is a map of %s", err, listed(readers))
		return
	}
	d.take(path, m, readers)
}

func (d *decoder) take(path string, m map[string]json.RawMessage, readers map[string]func(string, json.RawMessage)) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		read, ok := readers[key]
		if !ok {
			d.refuse(path, "unknown key %q; allowed are %s", clip(key), listed(readers))
			if near := problem.Nearest(key, slices.Sorted(maps.Keys(readers))); near != "" {
				d.problems[len(d.problems)-1].Hint = "did you mean " + near + "?"
			}
			continue
		}
		read(path+"."+key, m[key])
	}
}

func listed(readers map[string]func(string, json.RawMessage)) string {
	return strings.Join(slices.Sorted(maps.Keys(readers)), ", ")
}

func isString(raw json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(raw), []byte(`"`)) }

func at(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func (d *decoder) word(path string, raw json.RawMessage) (s string) {
	if err := one(raw, &s); err != nil || s == "" {
		d.refuse(path, "got %s; allowed is a text", clip(string(raw)))
		return ""
	}
	return s
}

func (d *decoder) words(path string, raw json.RawMessage) []string {
	var list []json.RawMessage
	if err := one(raw, &list); err != nil || list == nil {
		d.refuse(path, "got %s; allowed is a list of texts", clip(string(raw)))
		return nil
	}
	if len(list) > maxHosts {
		d.refuse(path, "got %d entries; allowed are %d", len(list), maxHosts)
		return nil
	}
	var words []string
	for i, raw := range list {
		words = append(words, d.word(at(path, i), raw))
	}
	return words
}

func (d *decoder) oneOrMore(path string, raw json.RawMessage) []string {
	if isString(raw) {
		return []string{d.word(path, raw)}
	}
	return d.words(path, raw)
}

func (d *decoder) patterns(path string, raw json.RawMessage) []string {
	list := d.oneOrMore(path, raw)
	for i, p := range list {
		if p != "" && !patternForm.MatchString(p) {
			d.refuse(at(path, i), "got %q; allowed is a host name in which * and ? stand for any characters and one, or group:NAME", clip(p))
		}
	}
	return list
}

func (d *decoder) kinds(path string, raw json.RawMessage) map[string][]string {
	m := map[string]json.RawMessage{}
	if err := one(raw, &m); err != nil {
		d.refuse(path, "%v; allowed is a map of lists: {web: [\"web-*\", \"group:frontends\"]}", err)
		return nil
	}
	kinds := map[string][]string{}
	for _, kind := range slices.Sorted(maps.Keys(m)) {
		if !label.MatchString(kind) || len(kind) > 32 {
			d.refuse(path, "got the kind %q; a kind's name has at most 32 of a-z, 0-9 and -, and begins with a letter", clip(kind))
			continue
		}
		kinds[kind] = d.patterns(path+"."+kind, m[kind])
	}
	return kinds
}

func (d *decoder) names(path string, raw json.RawMessage) names {
	if isString(raw) {
		switch word := d.word(path, raw); word {
		case "short", "":
			return names{}
		case "full":
			return names{Full: true}
		default:
			d.refuse(path, "got %q; allowed are short (the first label of the host's name), full, or a map from hosts to names", clip(word))
			return names{}
		}
	}
	n := names{Of: map[string]string{}}
	if err := one(raw, &n.Of); err != nil {
		d.refuse(path, "%v; allowed are short, full, or a map from hosts to names", err)
	}
	for _, host := range slices.Sorted(maps.Keys(n.Of)) {
		if name := n.Of[host]; !label.MatchString(name) || len(name) > 63 {
			d.refuse(path, "got the name %q for %q; a machine's name has at most 63 of a-z, 0-9 and -, and begins with a letter", clip(name), clip(host))
		}
	}
	return n
}

func (d *decoder) inventory(path string, raw json.RawMessage) (from inventoryFrom) {
	if isString(raw) {
		from.File = d.file(path, d.word(path, raw))
		return from
	}
	d.fields(path, raw, map[string]func(string, json.RawMessage){
		"command": func(path string, raw json.RawMessage) { from.Command = d.words(path, raw) },
		"output": func(path string, raw json.RawMessage) {
			var s string
			if err := one(raw, &s); err != nil {
				d.refuse(path, "got no text; this is what the command printed")
			}
			from.Output = &s
		},
	})
	switch {
	case len(from.Command) == 0 && len(d.problems) == 0:
		d.refuse(path, "names no command: {command: [ansible-inventory, --list]}")
	case len(from.Command) > 0 && from.Output == nil:
		d.refuse(path, "its command was not run: commands of a definition run only with your consent")
		d.problems[len(d.problems)-1].Hint = "evenkeel trust"
	}
	return from
}

// file makes ~/ the home folder. Other paths must be absolute: whoever opens the provider knows to what they are relative.
func (d *decoder) file(path, file string) string {
	rest, tilde := strings.CutPrefix(file, "~/")
	switch {
	case file == "":
	case tilde && d.home == "":
		d.refuse(path, "got %q, and HOME is not set", clip(file))
	case tilde:
		return filepath.Join(d.home, rest)
	case !filepath.IsAbs(file):
		d.refuse(path, "got %q; allowed is an absolute path, or one that begins with ~/", clip(file))
	}
	return file
}

// told is a list of problems that is readable and fits into one message.
func told(list problem.List) error {
	list.Sort()
	if len(list) > maxTold {
		more := len(list) - maxTold
		list = append(list[:maxTold:maxTold], problem.Problem{Severity: problem.Error, Message: fmt.Sprintf("and %d more problems", more)})
	}
	var lines []string
	for _, p := range list {
		line := p.String()
		if p.Hint != "" {
			line += " (" + p.Hint + ")"
		}
		lines = append(lines, line)
	}
	if len(lines) == 1 {
		return errors.New(lines[0])
	}
	return errors.New("\n  " + strings.Join(lines, "\n  "))
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
