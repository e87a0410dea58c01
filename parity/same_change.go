// SPDX-License-Identifier: Apache-2.0

package parity

import (
	"cmp"
	"slices"
	"strings"
)

// sameChange makes one finding of what one change on a machine shows as: who adds a user changes /etc/passwd, /etc/group and the lists that are read of them. A row that another
// one of the same machines says in clearer words goes into that one's Also. Only rows are joined whose machines differ alike; so nothing hides behind another change but in the same file,
// and there Also has the difference.
//
// Rows were waived each for itself. What is waived takes in what would count only where its waiver is for any value, or where it says the other row as a whole: else a change that came
// later would hide behind what was accepted once.
func sameChange(rows []Row, pinned []bool) []Row {
	gone := make([]bool, len(rows))
	for _, c := range clearer() {
		hosts := map[string]*[2]int{} // by what is compared, and where: one more than the place of the first row that counts, and of the first that is waived
		for i := range rows {
			if row := &rows[i]; !gone[i] && differed(row) && row.Section == c.section {
				for _, about := range c.about(row) {
					at := about + "\x00" + whereOf(row)
					if hosts[at] == nil {
						hosts[at] = &[2]int{}
					}
					if first := &hosts[at][truth(!row.Counts)]; *first == 0 {
						*first = i + 1
					}
				}
			}
		}
		for i := range rows {
			row := &rows[i]
			if gone[i] || !differed(row) || row.Section != c.said {
				continue
			}
			found := hosts[c.by(row)+"\x00"+whereOf(row)]
			if found == nil {
				continue
			}
			host := found[truth(!row.Counts)] - 1
			if other := found[truth(row.Counts)] - 1; host < 0 && (!row.Counts || c.whole || !pinned[other]) {
				host = other
			}
			if host < 0 || host == i {
				continue
			}
			rows[host].take(row)
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

// differed reports whether a row counts, or would without its waiver.
func differed(row *Row) bool { return row.Counts || row.Waiver != "" }

// take puts another row, with what that one took, into Also. What a waived row takes is waived with it.
func (r *Row) take(row *Row) {
	for _, one := range append([]Row{*row}, row.Also...) {
		one.Also = nil
		if !r.Counts && one.Counts {
			one.Counts, one.Waiver, one.Cells = false, r.Waiver, slices.Clone(one.Cells)
			for i := range one.Cells {
				if one.Cells[i].differs() {
					one.Cells[i].State = Waived
				}
			}
		}
		r.Also = append(r.Also, one)
	}
	if rank(row.Severity) < rank(r.Severity) {
		r.Severity = row.Severity
	}
}

// clearly says that rows of section say what rows of said do, where about of the one has what by of the other is; whole: they say all that can be in it.
type clearly struct {
	section, said string
	about         func(*Row) []string
	by            func(*Row) string
	whole         bool
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
	path := func(row *Row) []string { path, _, _ := strings.Cut(row.Key, " "); return []string{path} }
	job := func(table bool) func(*Row) string {
		return func(row *Row) string {
			if inContent(row) && isCronTable(row.Key) == table {
				return row.Key
			}
			return ""
		}
	}
	list := []clearly{
		{"cron", "etc", path, job(true), true},
		{"cron", "etc", path, job(false), false}, // a program that runs by the day: that it does is told, not what it does
		{"units", "etc", func(row *Row) []string { return []string{row.Key} }, func(row *Row) string {
			if strings.HasPrefix(row.Key, "/etc/systemd/system/") && isLink(row) {
				return row.Key[strings.LastIndex(row.Key, "/")+1:]
			}
			return ""
		}, false},
	}
	for section, patterns := range map[string][]string{
		"users": {"/etc/passwd"}, "groups": {"/etc/group"}, "sysctl_files": {"/etc/sysctl.conf", "/etc/sysctl.d/*"}, "sudoers": {"/etc/sudoers", "/etc/sudoers.d/*"},
		"time": {"/etc/localtime", "/etc/timezone"}, "locale": {"/etc/default/locale", "/etc/locale.conf"},
		"archives": {"/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/apt/preferences*"}, "ca": {"/etc/ssl/certs/ca-certificates.crt"},
	} {
		list = append(list, clearly{section, "etc", always(patterns[0]), file(patterns...), true})
	}
	// Programs read these folders and files too, and no section tells of all that is in them.
	for section, patterns := range map[string][]string{"users": {"/etc/subuid", "/etc/subgid"}, "ca": {"/etc/ssl/certs/*", "/etc/ca-certificates.conf"}} {
		list = append(list, clearly{section, "etc", always(patterns[0]), file(patterns...), false})
	}
	slices.SortStableFunc(list, func(a, b clearly) int {
		return cmp.Or(strings.Compare(a.section, b.section), cmp.Compare(truth(b.whole), truth(a.whole)))
	})
	names := func(row *Row) []string { return []string{row.Key} }
	return append(list, clearly{"users", "groups", names, key, false}, clearly{"sysctl", "sysctl_files", names, key, false})
}

// isCronTable tells tables of cron, of which each line is a fact, from programs that it runs.
func isCronTable(path string) bool {
	return path == "/etc/crontab" || path == "/etc/anacrontab" || strings.HasPrefix(path, "/etc/cron.d/")
}

// saidWhole reports whether a row that stands in another one's Also is said by that one, or by another there, as a whole.
func saidWhole(row *Row) bool {
	return slices.ContainsFunc(clearer(), func(c clearly) bool {
		return c.whole && c.said == row.Section && (c.section == "cron" && isCronTable(row.Key) || c.section != "cron" && slices.Contains(c.about(row), c.by(row)))
	})
}

// whereOf are the kind of machines and the columns in which a row differs.
func whereOf(row *Row) string {
	var b strings.Builder
	b.WriteString(row.Machines)
	for _, cell := range row.Cells {
		b.WriteByte(" x"[truth(cell.differs() || cell.State == Waived)])
	}
	return b.String()
}

// inContent reports whether a file is new, gone, or another in its content, and not in mode or owner.
func inContent(row *Row) bool {
	for _, cell := range row.Cells {
		if (cell.State == Different || cell.State == Waived && cell.Value != "") && row.Reference != "" && !isLink(row) && withoutDigest(cell.Value) != withoutDigest(row.Reference) {
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
