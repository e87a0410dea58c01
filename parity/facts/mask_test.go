// SPDX-License-Identifier: Apache-2.0

package facts_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/parity"
	"github.com/evenkeel/evenkeel/parity/collectors"
	"github.com/evenkeel/evenkeel/parity/facts"
)

func mask(t testing.TB) *facts.Mask {
	t.Helper()
	m, err := facts.NewMask([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shown is a file's text after masking, with M in place of each masked value.
func shown(t testing.TB, section, key, body string) string {
	items := []parity.Item{{Key: key, Value: "0600 root:root", Body: body}}
	mask(t).Items(section, items)
	return regexp.MustCompile(`hmac:[0-9a-f]{32}`).ReplaceAllString(items[0].Body, "M")
}

func TestSecretsInTextsAreMasked(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"password=hunter2", "password=M"},
		{"DB_PASSWORD='hunter2' # why\n", "DB_PASSWORD='M' # why\n"},
		{`export API_KEY="a b\"c"; x=1`, `export API_KEY="M"; x=1`},
		{"dbPassword: a b c", "dbPassword: M"},
		{"  db_pass   =   hunter2  ", "  db_pass   =   M  "},
		{"#password = old\r\nuser = bob\r\n", "#password = M\r\nuser = bob\r\n"},
		{`{"password": "hunter2", "user": "bob", "token":"x,y"}`, `{"password": "M", "user": "bob", "token":"M"}`},
		{`{"api key" : "hunter2"}`, `{"api key" : "M"}`},
		{`"{\"password\": \"hunter2\", \"user\": 1}"`, `"{\"password\": \"M\", \"user\": 1}"`},
		{"<password>hunter2</password><user>bob</user>", "<password>M</password><user>bob</user>"},
		{`<add key="DbPassword" value="hunter2"/>`, `<add key="DbPassword" value="M"/>`},
		{"- name: DB_PASSWORD\n  value: hunter2\n- name: SHOP\n  value: x\n", "- name: DB_PASSWORD\n  value: M\n- name: SHOP\n  value: x\n"},
		{"'password' => 'hunter2',", "'password' => 'M',"},
		{"password := hunter2", "password := M"},
		{"secret:\n  - one\n  - two: three\nuser: bob\n", "secret:\n  - M\n  - two: M\nuser: bob\n"},
		{"token: |\n  line one\n\n  line two\nuser: bob\n", "token: |\n  M\n\n  M\nuser: bob\n"},
		{"password: |hunter2\ntoken: >hunter2\nuser: bob\n", "password: M\ntoken: M\nuser: bob\n"},
		{"token: >2- # why\n  line one\nuser: bob\n", "token: >2- # why\n  M\nuser: bob\n"},
		{"chpasswd:\n  expire: false\n", "chpasswd:\n  expire: false\n"},
		{"PASSWORD=\"first\nsecond\" x\nuser=bob\n", "PASSWORD=\"M\nM\nuser=bob\n"},
		{"password=abc\\\n  def\nuser=bob\n", "password=M\n  M\nuser=bob\n"},
		{"requirepass hunter2\nport 6379\n", "requirepass M\nport 6379\n"},
		{"machine h login bob password hunter2", "machine h login bob password M"},
		{"ExecStart=/bin/x --password hunter2 --user bob", "ExecStart=/bin/x --password M --user bob"},
		{"ExecStart=/bin/x --api-key=hunter2 --user bob", "ExecStart=/bin/x --api-key=M --user bob"},
		{"dsn=host=h user=u password=p q", "dsn=host=h user=u password=M"},
		{`url = "Server=h;Password=a;b;" # c`, `url = "Server=h;Password=M" # c`},
		{"postgres://bob:hun:t@er2@db:5432/x?sslmode=on", "postgres://bob:M@db:5432/x?sslmode=on"},
		{"https://:x@h/", "https://:M@h/"},
		{"https://abcdefghijklmnop1234@h/x", "https://M@h/x"},
		{"deb https://u:p@h/debian bookworm main", "deb https://u:M@h/debian bookworm main"},
		{"https://h/x?user=bob&access_token=abc&y=1", "https://h/x?user=bob&access_token=M&y=1"},
		{"Authorization: Bearer abcdefghijk", "Authorization: M"},
		{"curl -H 'X: bearer abcdefgh1jk'", "curl -H 'X: bearer M'"},
		{"proxy: basic Ym9iOmh1bnRlcjI=", "proxy: basic M"},
		{"a\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\nb\n", "a\nM\nb\n"},
		{"-----BEGIN PRIVATE KEY-----\nabc\n", "M"},
		{`{"k": "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"}`, `{"k": "M\n"}`},
		{"root:$6$abc$defghijklmnop:19000:0", "root:M:19000:0"},
		{"bob:{SSHA}abcdefghijkl", "bob:M"},
		{"x eyJhbGciOi.eyJzdWIi.c2ln y", "x M y"},
		{"curl -s -u bob:hunter2 https://h", "curl -s -u bob:M https://h"},
		{"mysqldump -u bob -phunter2 shop", "mysqldump -u bob -pM shop"},
		{"sshpass -p hunter2 ssh h", "sshpass -p M ssh h"},
		{"id AKIAIOSFODNN7EXAMPLE", "id M"},
		{"t ghp_0123456789abcdefghijklmn", "t M"},
		{`"passw` + "\x00" + `ord": "x"`, `"passw` + "\x00" + `ord": "x"`},
	} {
		if got := shown(t, "etc", "/etc/x.conf", c.text); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}

func TestWhatOnlySpeaksOfSecretsIsLeft(t *testing.T) {
	for _, c := range []struct{ section, key, text string }{
		{"etc", "/etc/ssh/sshd_config", "PasswordAuthentication no\nPermitEmptyPasswords no\nPermitRootLogin prohibit-password\n"},
		{"etc", "/etc/x", "password_file = /run/x\ntoken_ttl: 30\npassword=\npassword: \"\"\npasswd_tries=3\nsecret: true\n"},
		{"etc", "/etc/login.defs", "PASS_MAX_DAYS\t99999\nPASS_WARN_AGE 7\nENCRYPT_METHOD YESCRYPT\n"},
		{"etc", "/etc/nsswitch.conf", "passwd:         files systemd\nshadow: files\n"},
		{"etc", "/etc/pam.d/common-password", "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt\n"},
		{"etc", "/etc/sudoers.d/x", "deploy ALL=(root) NOPASSWD: ALL\n"},
		{"etc", "/etc/x", "url = https://h:443/a@b\nssh://git@h/x\nmonkey: banana\nkeyboard=de\nauthor: bob\nspin: 7\n"},
		{"etc", "/etc/apt/preferences.d/x", "Package: *\nPin: origin example.org\nPin-Priority: 100\n"},
		{"etc", "/etc/services", "kpasswd\t464/udp\n"},
		{"etc", "/etc/x", "By default the Basic authentication of digest algorithms. A bearer authorisation.\nsk-learn is key-something-that-is-long\n"},
		{"etc", "/etc/x", "PWD=/x\n# a password is asked for\nIf you lose it, the token is gone.\n"},
	} {
		if got := shown(t, c.section, c.key, c.text); got != c.text {
			t.Errorf("%s: got %q, want it as it is: %q", c.key, got, c.text)
		}
	}
}

func TestValuesAreMaskedByTheirKey(t *testing.T) {
	for _, c := range []struct{ section, key, value, want string }{
		{"sysctl", "net.ipv4.tcp_fastopen_key", "0123-4567", "M"},
		{"sysctl", "net.ipv6.conf.eth0.stable_secret", "fe80::1", "M"},
		{"sshd", "passwordauthentication", "yes", "yes"},
		{"sshd", "kbdinteractiveauthentication", "no", "no"},
		{"cmdline", "x.password", "hunter2", "M"},
		{"packages", "passwd:amd64", "1:4.13+dfsg1-1", "1:4.13+dfsg1-1"},
		{"packages", "libsecret-1-0:amd64", "0.20.5-3", "0.20.5-3"},
		{"etc", "/etc/shadow", "0640 root:shadow", "0640 root:shadow"},
		{"units", "systemd-ask-password-wall.path", "enabled active", "enabled active"},
		{"sshd", "casignaturealgorithms", "ssh-ed25519,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com", "ssh-ed25519,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"},
		{"archives", "one", "https://bob:hunter2@h/x", "https://bob:M@h/x"},
		{"cron", "root", "0 1 * * * PGPASSWORD=hunter2 psql", "0 1 * * * PGPASSWORD=M"},
		{"archives", "repo x", "[baseurl=https://h/ password=hunter2 username=bob]", "[baseurl=https://h/ password=M"},
		{"keys", "deploy SHA256:x", `environment="DB_PASSWORD=hunter2" ssh-ed25519 me@work`, `environment="DB_PASSWORD=M" ssh-ed25519 me@work`},
		{"users", "root", "uid=0 password=locked", "uid=0 password=locked"},
		{"etc", "/etc/x", "0644 root:root sha256:00", "0644 root:root sha256:00"},
	} {
		items := []parity.Item{{Key: c.key, Value: c.value}}
		mask(t).Items(c.section, items)
		if got := regexp.MustCompile(`hmac:[0-9a-f]{32}`).ReplaceAllString(items[0].Value, "M"); got != c.want || items[0].Key != c.key {
			t.Errorf("%s/%s: got %q, want %q", c.section, c.key, got, c.want)
		}
	}
}

// A snapshot whose items stand in another order than their keys' is refused.
func TestMaskedKeysStandInOrder(t *testing.T) {
	var raw strings.Builder
	for i := range 50 {
		fmt.Fprintf(&raw, "x password=hunter%d\n", i)
	}
	g := collectors.Group{Name: "cron", Lane: parity.Stable, Parse: func(raw []byte) (items []parity.Item, err error) {
		for line := range strings.Lines(string(raw)) {
			items = append(items, parity.Item{Key: strings.TrimSpace(line)})
		}
		return items, nil
	}}
	s := facts.Section(g, []byte(raw.String()), mask(t))
	if len(s.Items) != 50 || strings.Contains(fmt.Sprint(s), "hunter") || !slices.IsSortedFunc(s.Items, func(a, b parity.Item) int { return strings.Compare(a.Key, b.Key) }) {
		t.Errorf("got %+v", s)
	}
}

// trap: a line without end, of whatever it is made, costs no more than its bytes.
func TestLongLinesAreMaskedInTime(t *testing.T) {
	for _, part := range []string{"xpw a b ", "xpw=b ", "'xpw=b ", " ", "\t ", "pw:", "\"name=x ", "\"pw=0 ", "-p a ", "xpw = ", "pw=\"0\" ", "<pw>", "a\\", "pw=>", "=>", "curl -u ", "{\"pw\":", "- pw: | ", "pw: | "} {
		began := time.Now()
		shown(t, "etc", "/etc/x.conf", "x monkey \""+strings.Repeat(part, 1<<20/len(part)))
		if took := time.Since(began); took > time.Minute {
			t.Errorf("a megabyte of %q took %s", part, took)
		}
	}
}

func TestFilesThatAreSecretsAreMaskedWhole(t *testing.T) {
	for _, file := range []string{"/etc/evenkeel/secrets/db", "/etc/ppp/chap-secrets", "/etc/nginx/.htpasswd", "/etc/bind/rndc.key"} {
		if got := shown(t, "etc", file, "anything\nat all\n"); got != "M\n" {
			t.Errorf("%s: got %q", file, got)
		}
	}
}

func TestMasksCompareAsTheirSecretsDo(t *testing.T) {
	one := func(key, body string) string {
		m, err := facts.NewMask([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		items := []parity.Item{{Key: "/etc/x", Body: body}}
		m.Items("etc", items)
		return items[0].Body
	}
	const a, b = "0123456789abcdef", "0123456789abcdeF"
	first := one(a, "token=x1")
	if again := one(a, "token=x1"); again != first || first == one(a, "token=x2") || first == one(b, "token=x1") {
		t.Error("equal secrets must have equal masks, others others")
	}
	ma, _ := facts.NewMask([]byte(a))
	mb, _ := facts.NewMask([]byte(b))
	if ma.KeyID() == mb.KeyID() || len(ma.KeyID()) != 16 || strings.Contains(ma.KeyID(), a) {
		t.Errorf("key ids %q, %q", ma.KeyID(), mb.KeyID())
	}
	if _, err := facts.NewMask([]byte("short")); err == nil {
		t.Error("a short key was taken")
	}
}

// FuzzSecretsNeverSurvive puts a secret where secrets stand, among anything.
func FuzzSecretsNeverSurvive(f *testing.F) {
	places := []string{
		"password=%\n", "DB_PASS='%'\n", `x: {"api_key": "%"}`, "secret: %\n", "<token>%</token>", "requirepass %\n", "--auth-token=%", "  client_secret   :   %",
		"- name: TOKEN\n  value: %\n", "token: |\n   %\n", "password: \"%\"\n", "'passwd' => '%'", "dsn=\"user=x password=%\"",
	}
	f.Add(uint8(0), "Hunter2!x", "a=b\n", "\nc: d")
	f.Add(uint8(9), "S3cr&t;v:l=e", "- x:\n", "y")
	f.Add(uint8(3), "password=1234", "password=\"\n", "")
	f.Fuzz(func(t *testing.T, place uint8, secret, before, after string) {
		if len(secret) < 6 || len(strings.Fields(secret)) != 1 || strings.ContainsAny(secret, "\n\r\"'<>\\` \t\x00") || strings.HasPrefix(secret, "hmac") || strings.ContainsAny(secret[:1], "|=:") {
			t.Skip() // not a secret that may stand there as it is
		}
		form := places[int(place)%len(places)]
		if !strings.HasSuffix(before, "\n") {
			before = "" // what stands before on its line may make another thing of it
		}
		text := before + strings.Replace(form, "%", secret, 1) + "\n" + after
		if strings.Count(text, secret) != 1 {
			t.Skip()
		}
		if got := shown(t, "etc", "/etc/x.conf", text); strings.Contains(got, secret) {
			t.Errorf("%q survived in %q", secret, got)
		}
	})
}
