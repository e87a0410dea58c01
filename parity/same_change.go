// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"slices"
	"strings"
)

// sameChange makes one finding of what one change on a machine shows as: who adds a user changes /etc/passwd, /etc/group and the lists that are read of them. A row that another
// one of the same machines says in clearer words goes into that one's Also. Only rows are joined whose machines differ alike, and of files only those that a section reads as a
// whole; so nothing hides behind another change but in the same file, and there Also has the difference.
func sameChange(rows []Row) []Row {
	gone := make([]bool, len(rows))
	for _, c := range clearer() {
		hosts := map[string]int{} // by what is compared, and where
		for i := range rows {
			if row := &rows[i]; !gone[i] && row.Counts && row.Section == c.section {
				for _, about := range c.about(row) {
					at := about + "\x00" + whereOf(row)
					if _, there := hosts[at]; !there {
						hosts[at] = i
					}
				}
			}
		}
		for i := range rows {
			row := &rows[i]
			if gone[i] || !row.Counts || row.Section != c.said {
				continue
			}
			host, there := hosts[c.by(row)+"\x00"+whereOf(row)]
			if !there || host == i {
				continue
			}
			to := &rows[host]
			to.Also = append(append(to.Also, *row), row.Also...)
			to.Also[len(to.Also)-1-len(row.Also)].Also = nil
			if rank(row.Severity) < rank(to.Severity) {
				to.Severity = row.Severity
			}
			gone[i] = true
		}
	}
	var kept []Row
	for i, row := range rows {
		if gone[i] {
			continue
		}
		if len(row.Also) > 0 {
			row.Why = strings.TrimPrefix(row.Why+"; also in "+alsoIn(row.Also), "; ")
		}
		kept = append(kept, row)
	}
	return kept
}

// clearly says that rows of section say what rows of said do, where about of the one has what by of the other is.
type clearly struct {
	section, said string
	about         func(*Row) []string
	by            func(*Row) string
}

func clearer() []clearly {
	key := func(row *Row) string { return row.Key }
	always := func(paths ...string) func(*Row) []string { return func(*Row) []string { return paths } }
	file := func(patterns ...string) func(*Row) string { // "" for what is no such file, or differs in mode or owner
		return func(row *Row) string {
			if i := slices.IndexFunc(patterns, func(p string) bool { return matches(p, row.Key) }); i >= 0 && inContent(row) {
				return patterns[0]
			}
			return row.Key + " alone"
		}
	}
	list := []clearly{
		{"cron", "etc", func(row *Row) []string { path, _, _ := strings.Cut(row.Key, " "); return []string{path} }, func(row *Row) string {
			if inContent(row) {
				return row.Key
			}
			return ""
		}},
		{"units", "etc", func(row *Row) []string { return []string{row.Key} }, func(row *Row) string {
			if strings.HasPrefix(row.Key, "/etc/systemd/system/") && isLink(row) {
				return row.Key[strings.LastIndex(row.Key, "/")+1:]
			}
			return ""
		}},
	}
	for section, patterns := range map[string][]string{
		"users": {"/etc/passwd", "/etc/subuid", "/etc/subgid"}, "groups": {"/etc/group"}, "sysctl_files": {"/etc/sysctl.conf", "/etc/sysctl.d/*"},
		"ca": {"/etc/ssl/certs/*", "/etc/ca-certificates.conf"}, "sudoers": {"/etc/sudoers", "/etc/sudoers.d/*"}, "time": {"/etc/localtime", "/etc/timezone"},
		"locale": {"/etc/default/locale", "/etc/locale.conf"}, "archives": {"/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/apt/preferences*"},
	} {
		list = append(list, clearly{section, "etc", always(patterns[0]), file(patterns...)})
	}
	slices.SortFunc(list, func(a, b clearly) int { return strings.Compare(a.section, b.section) })
	names := func(row *Row) []string { return []string{row.Key} }
	return append(list, clearly{"users", "groups", names, key}, clearly{"sysctl", "sysctl_files", names, key})
}

// whereOf are the kind of machines and the columns in which a row differs.
func whereOf(row *Row) string {
	var b strings.Builder
	b.WriteString(row.Machines)
	for _, cell := range row.Cells {
		b.WriteByte(" x"[truth(cell.differs())])
	}
	return b.String()
}

// inContent reports whether a file is new, gone, or another in its content, and not in mode or owner.
func inContent(row *Row) bool {
	for _, cell := range row.Cells {
		if cell.State == Different && row.Reference != "" && !isLink(row) && withoutDigest(cell.Value) != withoutDigest(row.Reference) {
			return false
		}
	}
	return true
}

func isLink(row *Row) bool {
	return slices.ContainsFunc(row.Cells, func(cell Cell) bool { return strings.Contains(cell.Value, " -> ") }) || strings.Contains(row.Reference, " -> ")
}

// alsoIn names rows for people.
func alsoIn(rows []Row) string {
	const most = 6
	var names []string
	for i, row := range rows {
		if i == most {
			names = append(names, "others")
			break
		}
		if row.Section == "etc" {
			names = append(names, row.Key)
		} else {
			names = append(names, row.Section+" "+row.Key)
		}
	}
	return strings.Join(names, ", ")
}
