// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// readKeyValue reads assignments as a shell or systemd does; a file with other commands has another form. What is exported others see too, so that is said; of a name that stands
// with and without it, the order counts.
func readKeyValue(text string) ([]pair, bool) {
	var pairs []pair
	exported := map[string]bool{}
	for _, line := range plainLines(text, "#") {
		assignment, exports := strings.CutPrefix(line, "export ")
		key, value, found := strings.Cut(assignment, "=")
		if !found || key == "" || strings.ContainsFunc(key, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
			return nil, false
		}
		value, ok := shellWord(value)
		if was, again := exported[key]; !ok || again && was != exports {
			return nil, false
		}
		exported[key] = exports
		if exports {
			key = "export " + key
		}
		pairs = set(pairs, key, value)
	}
	if !slices.ContainsFunc(pairs, func(p pair) bool { return strings.Contains(p.value, "$") }) {
		slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	}
	return pairs, true
}

// shellWord is one word without its quotes, with a comment behind it dropped; false where more is meant than text.
func shellWord(s string) (string, bool) {
	if strings.ContainsAny(s, "\\`$;&|<>()~") {
		return "$" + s, !strings.ContainsAny(s, "\\\n") && balanced(s) // as it stands
	}
	if s == "" {
		return "", true
	}
	if q := s[0]; q == '"' || q == '\'' {
		end := strings.IndexByte(s[1:], q)
		if end < 0 {
			return "", false // it goes on in the next line
		}
		rest := s[end+2:]
		trimmed := strings.TrimLeft(rest, blank)
		if trimmed != "" && (rest == trimmed || trimmed[0] != '#') {
			return "", false
		}
		return s[1 : end+1], true
	}
	word, rest, _ := strings.Cut(strings.ReplaceAll(s, "\t", " "), " ")
	if rest = strings.TrimLeft(rest, blank); rest != "" && rest[0] != '#' || strings.ContainsAny(word, `"'`) {
		return "", false
	}
	return word, true
}

// balanced reports whether quotes end in the line that they begin in.
func balanced(s string) bool {
	return strings.Count(s, `"`)%2 == 0 && strings.Count(s, "'")%2 == 0
}

// set puts a key's value where it was said last; what was said before means nothing any more, unless a value refers to it.
func set(pairs []pair, key, value string) []pair {
	if !strings.Contains(value, "$") {
		pairs = slices.DeleteFunc(pairs, func(p pair) bool { return p.key == key && !strings.Contains(p.value, "$") })
	}
	return append(pairs, pair{key, value})
}

// readSysctl reads sysctl.d(5): dots or slashes, and the last value of a key wins.
func readSysctl(text string) ([]pair, bool) {
	last := map[string]string{}
	var order []string
	for _, line := range plainLines(text, "#;") {
		ignored := strings.HasPrefix(line, "-")
		key, value, found := strings.Cut(strings.TrimPrefix(line, "-"), "=")
		key = strings.Trim(key, blank)
		if !found && !ignored || key == "" || strings.ContainsAny(key, "*?[") {
			return nil, false // patterns take the order of other files into account
		}
		// The first separator decides which one the others are (sysctl.d(5)).
		if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
			key = strings.NewReplacer("/", ".", ".", "/").Replace(key)
		}
		if !found {
			value = "(excluded)"
		}
		if _, had := last[key]; !had {
			order = append(order, key)
		}
		last[key] = strings.Join(words(value), " ")
	}
	// Forwarding sets other keys, so those before it mean nothing and those behind it do.
	if !slices.ContainsFunc(order, func(key string) bool {
		return strings.HasSuffix(key, "forward") || strings.HasSuffix(key, "forwarding")
	}) {
		slices.Sort(order)
	}
	var pairs []pair
	for _, key := range order {
		pairs = append(pairs, pair{key, last[key]})
	}
	return pairs, true
}

// readFstab reads six fields, of which the last two may be left out.
func readFstab(text string) ([]pair, bool) {
	var pairs []pair
	for _, line := range plainLines(text, "#") {
		f := words(line)
		if len(f) < 3 || len(f) > 6 {
			return nil, false
		}
		if len(f) == 3 {
			f = append(f, "defaults")
		}
		for len(f) < 6 {
			f = append(f, "0")
		}
		pairs = append(pairs, pair{f[1], f[0] + " " + strings.Join(f[2:], " ")})
	}
	return pairs, true
}

// readHosts leaves out what is the machine's own: the block that Settle lays, and its own name at 127.0.1.1, in full and short. Other names there are somebody's that was sent away.
func readHosts(text string) ([]pair, bool) {
	var pairs []pair
	ours, own := false, ""
	for _, line := range linesOf(text) {
		switch line {
		case "# evenkeel: machines":
			ours = true
		case "# evenkeel: end":
			ours = false
		}
		line, _, _ = strings.Cut(line, "#")
		f := words(line)
		if len(f) == 0 || ours {
			continue
		}
		if f[0] == "127.0.1.1" {
			own = cmp.Or(own, strings.Join(f[1:min(len(f), 2)], ""))
			isOwn := func(name string) bool {
				return name == own || strings.HasPrefix(own, name+".") || strings.HasPrefix(name, own+".")
			}
			if f = append(f[:1], slices.DeleteFunc(f[1:], isOwn)...); len(f) == 1 {
				continue
			}
		}
		pairs = append(pairs, pair{f[0], strings.Join(f[1:], " ")})
	}
	return pairs, !ours
}

// readCron reads crontab(5) with the field of the user: settings hold for the lines below them, so order stays.
func readCron(text string) ([]pair, bool) {
	var pairs []pair
	for _, line := range plainLines(text, "#") {
		if name, value, found := strings.Cut(line, "="); found && !strings.ContainsAny(strings.Trim(name, blank), blank+"*/,@") {
			pairs = append(pairs, pair{strings.Trim(name, blank), strings.Trim(value, blank)})
			continue
		}
		n := 6
		if line[0] == '@' {
			n = 2
		}
		rest := line
		var fields []string
		for range n {
			i := strings.IndexAny(rest, blank)
			if i < 0 {
				return nil, false
			}
			fields = append(fields, rest[:i])
			rest = strings.TrimLeft(rest[i:], blank)
		}
		pairs = append(pairs, pair{strings.Join(fields, " "), rest})
	}
	return pairs, true
}

// sshdLists are the keywords of sshd_config(5) that add up; of others the first value counts.
var sshdLists = []string{
	"acceptenv", "allowgroups", "allowusers", "denygroups", "denyusers", "hostcertificate", "hostkey", "include", "listenaddress", "permitlisten", "permitopen", "persourcepenalties", "port",
	"setenv", "subsystem",
}

// readSSHD reads sshd_config(5). A block of Match, and what stands behind an Include, is for itself: it may be overruled from elsewhere.
func readSSHD(text string) ([]pair, bool) {
	var pairs []pair
	said := map[string]bool{}
	block := ""
	for _, line := range plainLines(text, "#") {
		i := strings.IndexAny(line, blank+"=")
		if i < 0 {
			return nil, false
		}
		key := strings.ToLower(line[:i])
		value := strings.TrimLeft(line[i:], blank)
		value = strings.Trim(strings.TrimPrefix(value, "="), blank)
		if value == "" || strings.Contains(value, " #") {
			return nil, false
		}
		switch {
		case key == "match":
			block, said = "match "+value+": ", map[string]bool{}
			pairs = append(pairs, pair{"match", value})
			continue
		case key == "include":
			said = map[string]bool{}
		case said[block+key] && !slices.Contains(sshdLists, key):
			continue
		}
		said[block+key] = true
		if !strings.ContainsAny(value, `"\`) {
			value = strings.Join(words(value), " ")
		}
		pairs = append(pairs, pair{block + key, value})
	}
	return sortedRuns(pairs), true
}

// sortedRuns sorts keywords that count for themselves between those whose place means something, and keeps the order of values of one key.
func sortedRuns(pairs []pair) []pair {
	start := 0
	for i := 0; i <= len(pairs); i++ {
		if i == len(pairs) || pairs[i].key == "match" || strings.HasSuffix(pairs[i].key, "include") {
			slices.SortStableFunc(pairs[start:i], func(a, b pair) int { return strings.Compare(a.key, b.key) })
			start = i + 1
		}
	}
	return pairs
}
