// SPDX-License-Identifier: Apache-2.0

package collectors

import (
	"path"
	"slices"
	"strings"

	"github.com/evenkeel/evenkeel/parity"
)

// languages are what pip, npm and gem installed for all users, read from what they leave behind: run, they write caches and may ask the network. What the system's package
// manager brought is in packages.
func languages() Group {
	return Group{
		Name: "languages", Lane: parity.Stable,
		About: "what pip, npm and gem installed for all users, beside the system's packages",
		Script: `for d in /usr/local/lib/python*/site-packages /usr/local/lib/python*/dist-packages; do
	for f in "$d"/*.dist-info "$d"/*.egg-info "$d"/*.egg; do [ ! -e "$f" ] || echo "pip ${f##*/}"; done
done
for d in /usr/lib/python*/site-packages /usr/lib/python*/dist-packages /usr/lib64/python*/site-packages; do
	for f in "$d"/*.dist-info; do
		[ ! -r "$f/INSTALLER" ] || { by= && read -r by; [ "$by" != pip ] || echo "pip ${f##*/}"; } <"$f/INSTALLER"
	done
done
set --
for f in /usr/local/lib/node_modules/*/package.json /usr/local/lib/node_modules/@*/*/package.json /usr/lib/node_modules/*/package.json /usr/lib/node_modules/@*/*/package.json; do
	[ ! -e "$f" ] || set -- "$@" "$f"
done
[ $# = 0 ] || { for f; do echo "npm $f"; done && grep -H '"version"' "$@" /dev/null 2>/dev/null | while IFS= read -r line; do echo "version $line"; done; }
for f in /var/lib/gems/*/specifications/*.gemspec /usr/local/lib/ruby/gems/*/specifications/*.gemspec /usr/local/share/gems/specifications/*.gemspec; do
	[ ! -e "$f" ] || { f=${f##*/} && echo "gem ${f%.gemspec}"; }
done
for d in /usr/local/lib/node_modules /usr/lib/node_modules /usr/local/lib/python*/site-packages /usr/local/lib/python*/dist-packages /var/lib/gems/*/specifications; do
	[ ! -d "$d" ] || { [ -r "$d" ] && [ -x "$d" ]; } || echo "unread $d"
done
:
`,
		Parse: parseLanguages,
	}
}

func parseLanguages(raw []byte) ([]parity.Item, error) {
	versions := map[string][]string{}
	var order []string
	note := func(key, version string) {
		if _, known := versions[key]; !known {
			order = append(order, key)
			versions[key] = nil
		}
		if version != "" {
			versions[key] = append(versions[key], version)
		}
	}
	found := map[string]bool{} // whose version was told, by package.json
	var s itemSet
	for word, rest := range tagged(raw) {
		switch word {
		case "pip":
			name, version := wheel(rest)
			note("pip/"+name, version)
		case "npm":
			note("npm/"+module(rest), "")
		case "version": // that of the module is the first; those it depends on may follow
			file, text, _ := strings.Cut(rest, ":")
			if _, text, ok := strings.Cut(text, `"version"`); ok && !found[file] {
				if text = strings.TrimLeft(text, ": \t"); strings.HasPrefix(text, `"`) {
					version, _, _ := strings.Cut(text[1:], `"`)
					note("npm/"+module(file), version)
					found[file] = true
				}
			}
		case "gem":
			name, version := gemspec(rest)
			note("gem/"+name, version)
		case "unread":
			s.add(parity.Item{Key: rest, Unknown: "only root may look into it"})
		}
	}
	for _, key := range order {
		slices.Sort(versions[key])
		list := slices.Compact(versions[key])
		item := parity.Item{Key: key, Value: strings.Join(list, ", ")}
		if len(list) == 0 {
			item.Unknown = "it does not say its version"
		}
		s.add(item)
	}
	return s.list, nil
}

// wheel is name and version in the name of a folder of metadata (packaging.python.org, "Recording installed projects"): requests-2.31.0.dist-info, six-1.16.0-py3.11.egg.
// Names differ by case, hyphens, dots and underscores only in how they are written (PEP 503).
func wheel(folder string) (name, version string) {
	stem := strings.TrimSuffix(folder, path.Ext(folder))
	name, version, _ = strings.Cut(stem, "-")
	version, _, _ = strings.Cut(version, "-py")
	return strings.ToLower(strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' }), "-")), version
}

// module is the name of what a package.json is of, with its scope.
func module(file string) string {
	_, name, _ := strings.Cut(file, "/node_modules/")
	return strings.TrimSuffix(name, "/package.json")
}

// gemspec is name and version in the name of a specification: concurrent-ruby-1.2.3, nokogiri-1.16.2-x86_64-linux. Versions begin with a digit (rubygems.org, "Patterns").
func gemspec(stem string) (name, version string) {
	for i := 1; i+1 < len(stem); i++ {
		if stem[i] == '-' && stem[i+1] >= '0' && stem[i+1] <= '9' {
			return stem[:i], stem[i+1:]
		}
	}
	return stem, ""
}
