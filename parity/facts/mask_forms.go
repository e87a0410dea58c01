// SPDX-License-Identifier: Apache-2.0

package facts

import (
	"strings"

	"github.com/evenkeel/evenkeel/internal/lazyregexp"
)

// form is how secrets look wherever they stand. A text that matches expr holds one of hints; the first group is what is masked.
type form struct {
	expr  *lazyregexp.Regexp
	hints []string
	// likely says no to what looks alike in prose; nil: all is a secret.
	likely func(string) bool
}

var forms = []form{
	// A private key, to its end or that of the text; on one line, too, as JSON writes it.
	{lazyregexp.New(`(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z))`), []string{"PRIVATE KEY"}, nil},
	{lazyregexp.New(`(?s)Private-Lines: \d+\r?\n(.*?)(?:\r?\nPrivate-MAC|\z)`), []string{"Private-Lines"}, nil},
	// RFC 3986: what stands before the last @ of an authority is who asks; behind the first colon of that, a password.
	{lazyregexp.New(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#"'<>@:]*:([^\s/?#"'<>]+)@`), []string{"://"}, nil},
	{lazyregexp.New(`[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#"'<>@:]{16,})@`), []string{"://"}, nil},
	{lazyregexp.New(`\b[Bb](?:earer|EARER|asic|ASIC)\s+([A-Za-z0-9._~+/=-]{8,})`), []string{"earer ", "EARER ", "asic ", "ASIC "}, noProse},
	{lazyregexp.New(`\b(?:[Nn]egotiate|[Dd]igest)\s+([A-Za-z0-9._~+/=-]{8,})`), []string{"egotiate ", "igest "}, noProse},
	// crypt(5) and its kin
	{lazyregexp.New(`(\$(?:1|2[abxy]?|5|6|7|y|gy|sha1|md5|apr1|argon2[id]*|scrypt|pbkdf2[a-z0-9-]*)\$[^\s:,;"'<>]{8,})`),
		[]string{"$1$", "$2", "$5$", "$6$", "$7$", "$y$", "$gy$", "$sha1$", "$md5$", "$apr1$", "$argon2", "$scrypt$", "$pbkdf2"}, nil},
	{lazyregexp.New(`(\{(?:S?SHA(?:256|384|512)?|S?MD5|CRYPT|PBKDF2[A-Z0-9-]*)\}[A-Za-z0-9+/=.$]{8,})`), []string{"{SHA", "{SSHA", "{MD5", "{SMD5", "{CRYPT", "{PBKDF2"}, nil},
	{lazyregexp.New(`(\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*)`), []string{"eyJ"}, nil}, // a JSON web token
	{lazyregexp.New(`(\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{12,}\b)`), []string{"AKIA", "ASIA", "AROA", "AIDA", "ABIA", "ACCA"}, nil},
	{lazyregexp.New(`\bcurl\b[^\n]*?\s(?:-u|--user)[ =]?["']?[^\s:"']*:([^\s"']+)`), []string{"curl"}, nil},
	{lazyregexp.New(`\bsshpass\s+-p\s*([^\s]+)`), []string{"sshpass"}, nil},
	{lazyregexp.New(`\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump|mariadb-admin)\b[^\n]*?\s-p([^\s]+)`), []string{"mysql", "mariadb"}, nil},
	{lazyregexp.New(`(\b(?:gh[pousr]_|github_pat_|glpat-|gldt-|glrt-|xox[abeprs]-|xapp-|sk_live_|rk_live_|sk_test_|sk-|hvs\.|hvb\.|npm_|pypi-|dop_v1_|SG\.|AIza|ya29\.|AGE-SECRET-KEY-|key-|whsec_|shpat_)[A-Za-z0-9_.-]{16,})`),
		[]string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "xox", "xapp-", "sk_", "rk_", "sk-", "hvs.", "hvb.", "npm_", "pypi-", "dop_v1_", "SG.", "AIza", "ya29.", "AGE-SECRET", "key-", "whsec_", "shpat_"}, isToken},
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// isToken says no to words with a dash, and to the names of forms of keys in sshd's lists.
func isToken(s string) bool {
	return hasDigit(s) && !strings.HasPrefix(s, "sk-ssh-") && !strings.HasPrefix(s, "sk-ecdsa-")
}

// noProse reports whether what stands behind a scheme's name is no word of a sentence.
func noProse(s string) bool {
	rest := strings.TrimRight(s[1:], ".")
	return hasDigit(s) || strings.ContainsAny(rest, "=+_~") || len(s) >= 20 || strings.ToLower(rest) != rest && strings.ToUpper(rest) != rest
}

func (m *Mask) byForm(f *form, s string) string {
	var b strings.Builder
	last := 0
	for _, found := range f.expr.FindAllStringSubmatchIndex(s) {
		from, to := found[2], found[3]
		if f.likely != nil && !f.likely(s[from:to]) {
			continue
		}
		b.WriteString(s[last:from])
		b.WriteString(m.of(s[from:to]))
		last = to
	}
	b.WriteString(s[last:])
	return b.String()
}
