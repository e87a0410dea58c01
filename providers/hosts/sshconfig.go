// SPDX-License-Identifier: Apache-2.0

package hosts

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	sshconfig "github.com/kevinburke/ssh_config"

	"github.com/evenkeel/evenkeel/internal/bounded"
)

// What an ssh_config may be at most, with all that it includes.
const (
	maxSSHConfig  = 4 << 20 // bytes of one file
	maxIncluded   = 200     // files
	maxNested     = 5       // as the library has it
	maxSSHAliases = maxHosts
)

// sshConfig is a file in the form of ssh_config(5). The nil one says nothing.
type sshConfig struct {
	file  *sshconfig.Config
	names []string // its Host names without patterns, in their order
}

// settings are what it says of one host.
type settings struct {
	hostName, user, jump, command, alias string
	port                                 int
	identities                           []string
}

// readSSHConfig reads file and what it includes; "" is no file. What only OpenSSH can judge (Match but for `all` and `host`) is an error: it would
// otherwise be taken for unsaid.
func readSSHConfig(file string) (*sshConfig, error) {
	if file == "" {
		return nil, nil
	}
	// The home folder of the library, and of OpenSSH: what is looked at here must be what it opens.
	home := os.Getenv("HOME")
	if u, err := user.Current(); err == nil {
		home = u.HomeDir
	}
	s := &scan{home: home}
	data, err := s.file(file, 0)
	if err != nil {
		return nil, err
	}
	c, err := decodeSSHConfig(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return &sshConfig{c, once(s.names)}, nil
}

// decodeSSHConfig keeps the library's panics over broken input from ending us.
func decodeSSHConfig(data []byte) (c *sshconfig.Config, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("it is not in the form of ssh_config")
		}
	}()
	c, err = sshconfig.DecodeBytes(data)
	if err != nil {
		return nil, errors.New(clip(strings.TrimSpace(err.Error())))
	}
	return c, nil
}

// scan looks at a file, and at those it includes, before the library opens them: it would read whatever they are, a device too.
type scan struct {
	home  string
	names []string
	files int
}

func (s *scan) file(file string, depth int) ([]byte, error) {
	if s.files++; s.files > maxIncluded || depth > maxNested {
		return nil, fmt.Errorf("it includes more than %d files, or deeper than %d", maxIncluded, maxNested)
	}
	data, err := readFile(file, maxSSHConfig)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		key, rest := keyword(line)
		switch key {
		case "host":
			for _, n := range words(rest) {
				if isHost(n) {
					s.names = append(s.names, n)
				}
			}
		case "include":
			for _, glob := range words(rest) {
				matched, err := filepath.Glob(s.included(glob))
				if err != nil {
					return nil, fmt.Errorf("cannot read %s: Include %s is no pattern", file, clip(glob))
				}
				for _, m := range matched {
					if _, err := s.file(m, depth+1); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	if len(s.names) > maxSSHAliases {
		return nil, fmt.Errorf("cannot read %s: it has more than %d hosts", file, maxSSHAliases)
	}
	return data, nil
}

func (s *scan) included(file string) string {
	switch rest, tilde := strings.CutPrefix(file, "~/"); {
	case tilde:
		return filepath.Join(s.home, rest)
	case filepath.IsAbs(file):
		return file
	}
	return filepath.Join(s.home, ".ssh", file)
}

// keyword is a line's key in small letters and what follows it.
func keyword(line string) (key, rest string) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", ""
	}
	i := strings.IndexAny(line, " \t=")
	if i < 0 {
		return strings.ToLower(line), ""
	}
	return strings.ToLower(line[:i]), strings.TrimLeft(line[i:], " \t=")
}

func words(rest string) []string {
	rest, _, _ = strings.Cut(rest, " #")
	var list []string
	for _, w := range strings.Fields(rest) {
		list = append(list, strings.Trim(w, `"`))
	}
	return list
}

// aliases are the names that the file has for hosts, of those that match the patterns.
func (c *sshConfig) aliases(patterns []string) []string {
	return slices.DeleteFunc(slices.Clone(c.names), func(name string) bool { return !matches(patterns, &host{name: name}) })
}

// keys are what is taken from an ssh_config; all else of it is for OpenSSH alone.
var keys = []string{"hostname", "user", "port", "identityfile", "proxyjump", "proxycommand", "hostkeyalias"}

// of is what the file says of alias: for each key the first value, of identity files all.
func (c *sshConfig) of(alias, home string) (settings, error) {
	var s settings
	if c == nil {
		return s, nil
	}
	said := map[string][]string{}
	for _, block := range c.file.Hosts {
		if !block.Matches(alias) {
			continue
		}
		for _, node := range block.Nodes {
			switch n := node.(type) {
			case *sshconfig.KV:
				if key := strings.ToLower(n.Key); slices.Contains(keys, key) {
					said[key] = append(said[key], n.Value)
				}
			case *sshconfig.Include:
				for _, key := range keys {
					values, _ := n.GetAll(alias, key) // errors are of node types that there are not
					said[key] = append(said[key], values...)
				}
			}
		}
	}
	first := func(key string) string {
		if len(said[key]) == 0 || strings.EqualFold(said[key][0], "none") && key != "proxyjump" {
			return ""
		}
		return said[key][0]
	}
	s.user, s.jump, s.command, s.alias = first("user"), first("proxyjump"), first("proxycommand"), first("hostkeyalias")
	fault := func(key string, err error) (settings, error) {
		return s, fmt.Errorf("the ssh_config's %s for %s cannot be used: %w", key, alias, err)
	}
	var err error
	if text := first("port"); text != "" {
		if s.port, err = parsePort(text); err != nil {
			return fault("Port", err)
		}
	}
	if s.alias != "" && !isHost(s.alias) {
		return fault("HostKeyAlias", fmt.Errorf("got %q, which is no host name", clip(s.alias)))
	}
	if s.hostName, err = expand(first("hostname"), map[byte]string{'h': alias}); err != nil {
		return fault("HostName", err)
	}
	tokens := map[byte]string{'d': home, 'h': s.hostName, 'n': alias, 'r': s.user, 'p': fmt.Sprint(cmp.Or(s.port, 22)), 'u': localUser()}
	if s.hostName == "" {
		tokens['h'] = alias
	}
	for _, text := range said["identityfile"] {
		if strings.EqualFold(text, "none") {
			continue
		}
		file, err := expand(text, tokens)
		if err != nil {
			return fault("IdentityFile", err)
		}
		if file = expandHome(file, home); !filepath.IsAbs(file) {
			file = filepath.Join(home, file)
		}
		s.identities = append(s.identities, file)
	}
	return s, nil
}

// expand replaces the tokens of ssh_config(5).
func expand(text string, tokens map[byte]string) (string, error) {
	if strings.Contains(text, "${") {
		return "", fmt.Errorf("got %q; variables of the environment are not looked up", clip(text))
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i < len(text) && text[i] == '%' {
			b.WriteByte('%')
			continue
		}
		value := ""
		if i < len(text) {
			value = tokens[text[i]]
		}
		if value == "" {
			return "", fmt.Errorf("got %q, with a token that is not known here", clip(text))
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

func localUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

func readFile(file string, most int64) ([]byte, error) {
	data, err := bounded.ReadFile(file, most)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return data, nil
}
