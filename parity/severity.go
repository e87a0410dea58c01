// SPDX-License-Identifier: Apache-2.0

package parity

import "strings"

// SeverityRule gives rows that match a severity.
type SeverityRule struct {
	Match    string // SECTION/KEY, with * for any text: "etc//etc/motd", "packages/linux-*"
	Severity Severity
}

// ownSeverities are Compare's, the first that matches wins.
func ownSeverities() []SeverityRule {
	return []SeverityRule{
		{"sshd/*", Security}, {"sudoers/*", Security}, {"users/*", Security}, {"groups/*", Security}, {"keys/*", Security},
		{"firewall/*", Security}, {"ca/*", Security}, {"ports/*", Security}, {"identity/*", Security}, {"updates/*", Security},
		{"etc//etc/ssh/*", Security}, {"etc//etc/sudoers*", Security}, {"etc//etc/pam.*", Security}, {"etc//etc/security/*", Security},
		{"etc//etc/passwd*", Security}, {"etc//etc/group*", Security}, {"etc//etc/*shadow*", Security}, {"etc//etc/nftables*", Security},
		{"etc//etc/ssl/*", Security}, {"etc//etc/ca-certificates*", Security}, {"etc//etc/hosts.*", Security}, {"etc//etc/ld.so.preload", Security},
		{"etc//etc/apt/trusted*", Security}, {"etc//etc/apt/keyrings*", Security},
		{"packages/*", Packages}, {"languages/*", Packages}, {"archives/*", Packages}, {"os/*", Packages}, {"images/*", Packages},
		{"etc/*", Config}, {"conffiles/*", Config}, {"sysctl*", Config}, {"units/*", Config}, {"cron/*", Config}, {"timers/*", Config}, {"mounts/*", Config},
		{"modules/*", Config}, {"cmdline/*", Config}, {"time/*", Config}, {"locale/*", Config}, {"settled/*", Config}, {"age/*", Config}, {"machines/*", Config},
	}
}

// severityOf is how bad a difference in section and key is. The rules for etc hold for etc_own too.
func severityOf(rules []SeverityRule, section, key string) Severity {
	subject, whole := section+"/"+key, strings.TrimSuffix(section, OwnSuffix)+"/"+key
	for _, r := range rules {
		if matches(r.Match, subject) || matches(r.Match, whole) {
			return r.Severity
		}
	}
	return Info
}

func rank(s Severity) int {
	switch s {
	case Security:
		return 0
	case Packages:
		return 1
	case Config:
		return 2
	}
	return 3
}

// matches reports whether text has the pattern's form, in which * stands for any text, the empty one included, and \* for a star. Its time is linear in text for each *.
func matches(pattern, text string) bool {
	head, rest, star := cutStar(pattern)
	if !star {
		return head == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		part, next, more := cutStar(rest)
		if !more {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], next
	}
}

// cutStar parts a pattern at its first * that stands for any text.
func cutStar(pattern string) (literal, rest string, star bool) {
	literal, rest, star = strings.Cut(pattern, "*")
	for star && strings.HasSuffix(literal, `\`) {
		more, after, again := strings.Cut(rest, "*")
		literal, rest, star = literal[:len(literal)-1]+"*"+more, after, again
	}
	return literal, rest, star
}
