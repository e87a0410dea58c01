// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// archives is where packages come from, and which are preferred.
func archives() Group {
	return Group{
		Name: "archives", Lane: parity.Stable,
		About: "the archives that packages come from, with the keys they are signed by, and pins: of apt, yum, dnf, zypper, apk",
		Script: show + `told() {
	for f; do
		if [ -f "$f" ] && [ -r "$f" ]; then
			echo "file $kind $f"
			show . "$f"
		elif [ -e "$f" ] && [ ! -d "$f" ] || [ -d "$f" ] && { [ ! -r "$f" ] || [ ! -x "$f" ]; }; then
			echo "unread $f"
		fi
	done
}
kind=list && told /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/sources.list.d/*.list
kind=sources && told /etc/apt/sources.list.d/*.sources
kind=pins && told /etc/apt/preferences /etc/apt/preferences.d
for f in /etc/apt/preferences.d/*; do
	name=${f##*/}
	case $name in *.pref) told "$f" ;; *.*) ;; *) told "$f" ;; esac
done
kind=repo && told /etc/yum.repos.d /etc/yum.repos.d/*.repo /etc/zypp/repos.d /etc/zypp/repos.d/*.repo
kind=apk && told /etc/apk/repositories
kind=world && told /etc/apk/world
:
`,
		Parse: parseArchives,
	}
}

func parseArchives(raw []byte) ([]parity.Item, error) {
	a := archiveSet{components: map[[2]string][]string{}}
	kind, lines := "", []string(nil)
	end := func() {
		switch kind {
		case "list":
			a.oneLine(lines)
		case "sources":
			a.deb822(lines)
		case "pins":
			a.pins(lines)
		case "repo":
			a.repos(lines)
		case "apk":
			a.apk(lines)
		case "world":
			a.world(lines)
		}
		kind, lines = "", nil
	}
	for word, rest := range tagged(raw) {
		switch word {
		case "file":
			end()
			kind, _, _ = strings.Cut(rest, " ")
		case ".":
			lines = append(lines, rest)
		case "unread":
			end()
			a.add(parity.Item{Key: rest, Unknown: "only root may read it"})
		}
	}
	end()
	if a.noted > maxArchives {
		return nil, fmt.Errorf("more than %d archives and pins", maxArchives)
	}
	return a.done(), nil
}

// archiveSet gathers archives; what several lines take of one is one item.
type archiveSet struct {
	itemSet
	components map[[2]string][]string // by "deb URI SUITE" and options
	order      [][2]string
	noted      int
}

// maxArchives bounds what is told of one machine: a stanza of a few lines may stand for the product of its types, URIs and suites.
const maxArchives = 10_000

// note takes one archive. Who logs in there stands in the value, where secrets are masked, not in the key.
func (a *archiveSet) note(kind, uri, suite string, opts, components []string) {
	uri = strings.TrimRight(uri, "/")
	bare := withoutLogin(uri)
	if bare != uri {
		opts = append(opts, "uri="+uri)
	}
	at := [2]string{kind + " " + bare + " " + suite, options(opts)}
	if _, known := a.components[at]; !known {
		a.order = append(a.order, at)
	}
	a.components[at] = append(a.components[at], components...)
}

func (a *archiveSet) done() []parity.Item {
	slices.SortStableFunc(a.order, func(x, y [2]string) int { return strings.Compare(x[1], y[1]) })
	for _, at := range a.order {
		list := slices.Compact(slices.Sorted(slices.Values(a.components[at])))
		a.join(at[0], strings.TrimSpace(strings.Join(list, " ")+" "+at[1]))
	}
	return a.list
}

// withoutLogin is a URL without user and password.
func withoutLogin(uri string) string {
	scheme, rest, found := strings.Cut(uri, "://")
	if !found {
		return uri
	}
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		return strings.TrimRight(scheme+"://"+host[i+1:]+"/"+path, "/")
	}
	return uri
}

// options are those of a source in one order, [a=b c=d].
func options(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return "[" + strings.Join(slices.Sorted(slices.Values(list)), " ") + "]"
}

// oneLine reads sources.list(5): deb [ option=value ... ] URI SUITE [COMPONENT...]
func (a *archiveSet) oneLine(lines []string) {
	for _, line := range lines {
		if a.noted > maxArchives {
			return
		}
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		if kind != "deb" && kind != "deb-src" {
			continue
		}
		rest = strings.TrimSpace(rest)
		var opts []string
		if inner, ok := strings.CutPrefix(rest, "["); ok {
			inner, after, found := strings.Cut(inner, "]")
			if !found {
				continue
			}
			opts, rest = strings.Fields(inner), after
		}
		if f := strings.Fields(rest); len(f) >= 2 {
			a.noted++
			a.note(kind, f[0], f[1], opts, f[2:])
		}
	}
}

// deb822 reads the same as stanzas of fields. A source that is switched off is none.
func (a *archiveSet) deb822(lines []string) {
	for _, fields := range stanzas(lines) {
		if slices.Contains([]string{"no", "false", "without", "off", "disable"}, strings.ToLower(fields["enabled"])) {
			continue
		}
		var opts []string
		for name, value := range fields {
			switch name {
			case "types", "uris", "suites", "components", "enabled", "description", "x-repolib-name", "x-repolib-id":
				continue
			case "signed-by":
				if strings.Contains(value, "-----BEGIN") {
					sum := sha256.Sum256([]byte(value))
					value = "key:" + hex.EncodeToString(sum[:8])
				}
			case "architectures":
				name = "arch"
			case "languages":
				name = "lang"
			}
			opts = append(opts, name+"="+strings.Join(strings.Fields(value), ","))
		}
		kinds, uris, suites := strings.Fields(fields["types"]), strings.Fields(fields["uris"]), strings.Fields(fields["suites"])
		if a.noted += min(len(kinds), maxArchives) * min(len(uris), maxArchives) * min(len(suites), maxArchives); a.noted > maxArchives {
			return
		}
		for _, kind := range kinds {
			for _, uri := range uris {
				for _, suite := range suites {
					a.note(kind, uri, suite, slices.Clone(opts), strings.Fields(fields["components"]))
				}
			}
		}
	}
}

// pins reads apt_preferences(5).
func (a *archiveSet) pins(lines []string) {
	for _, fields := range stanzas(lines) {
		if pin := fields["pin"]; pin != "" {
			for _, name := range strings.Fields(fields["package"]) {
				if a.noted++; a.noted > maxArchives {
					return
				}
				a.join("pin "+name+" "+strings.Join(strings.Fields(pin), " "), fields["pin-priority"])
			}
		}
	}
}

// stanzas are deb822(5)'s: fields by name in lower case; a line that begins with a space goes on.
func stanzas(lines []string) []map[string]string {
	var all []map[string]string
	parts := map[string][]string{}
	last := ""
	end := func() {
		if len(parts) > 0 {
			one := map[string]string{}
			for name, list := range parts {
				one[name] = strings.Join(list, "\n")
			}
			all = append(all, one)
		}
		parts, last = map[string][]string{}, ""
	}
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			end()
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				parts[last] = append(parts[last], strings.TrimSpace(line))
			}
		default:
			if name, value, found := strings.Cut(line, ":"); found {
				last = strings.ToLower(strings.TrimSpace(name))
				parts[last] = []string{strings.TrimSpace(value)}
			}
		}
	}
	end()
	return all
}

// repos reads the sections of a .repo file: of each what decides where packages come from, and whether they are believed.
func (a *archiveSet) repos(lines []string) {
	id, last := "", ""
	fields := map[string][]string{}
	end := func() {
		if a.noted++; id != "" && a.noted <= maxArchives {
			var list []string
			for name, values := range fields {
				list = append(list, name+"="+strings.Join(values, ","))
			}
			a.join("repo "+id, options(list))
		}
		id, last, fields = "", "", map[string][]string{}
	}
	for _, line := range lines {
		text := strings.TrimSpace(line)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case text[0] == '[':
			end()
			id = strings.Trim(text, "[]")
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] = append(fields[last], strings.Fields(text)...)
			}
		default:
			name, value, _ := strings.Cut(text, "=")
			name = strings.ToLower(strings.TrimSpace(name))
			switch last = ""; name {
			case "baseurl", "mirrorlist", "metalink", "enabled", "gpgcheck", "repo_gpgcheck", "gpgkey", "sslverify", "priority", "cost", "exclude", "excludepkgs", "includepkgs",
				"module_hotfixes", "proxy", "username", "password", "skip_if_unavailable", "type":
				last, fields[name] = name, strings.Fields(value)
			}
		}
	}
	end()
}

// apk reads apk-repositories(5): [@TAG] URL
func (a *archiveSet) apk(lines []string) {
	for _, line := range lines {
		if f := strings.Fields(line); len(f) > 0 && f[0][0] != '#' {
			tag := "untagged"
			if f[0][0] == '@' && len(f) > 1 {
				tag, f = f[0], f[1:]
			}
			uri := strings.TrimRight(f[len(f)-1], "/")
			bare := withoutLogin(uri)
			if bare != uri {
				tag += " [uri=" + uri + "]"
			}
			a.join("apk "+bare, tag)
		}
	}
}

// world reads apk-world(5): of the packages that are wanted those whose version or archive is.
func (a *archiveSet) world(lines []string) {
	for _, line := range lines {
		for _, word := range strings.Fields(line) {
			if i := strings.IndexAny(word, "=<>~@"); i > 0 {
				a.join("pin "+word[:i], word[i:])
			}
		}
	}
}
