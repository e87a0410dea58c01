// SPDX-License-Identifier: Apache-2.0

package providers_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers"
)

func secretsOf(values map[string]string) envs.Values {
	all := map[string]envs.Value{}
	for name, text := range values {
		all[name] = envs.NewValue([]byte(text))
	}
	return envs.Values{"db-1": all}
}

func TestSecretsAreTakenOutInEveryForm(t *testing.T) {
	const password, key, odd = "correct-horse-battery", "line-one-of-key\nline-two-of-key\n", "staple\"<o'd\\d> p&ss%\x01"
	m := providers.NewMask(secretsOf(map[string]string{"PASSWORD": password, "KEY": key, "ODD": odd, "PIN": "123"}))
	quoted, err := json.Marshal(odd)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		password, "x" + password + "y", hex.EncodeToString([]byte(password)), strings.ToUpper(hex.EncodeToString([]byte(password))), base64.StdEncoding.EncodeToString([]byte(password)),
		base64.StdEncoding.EncodeToString([]byte("user:" + password)), base64.StdEncoding.EncodeToString([]byte("a-user:" + password + "\n")),
		"said line-two-of-key", key,
		odd, string(quoted), fmt.Sprintf("%q", odd), providers.Printable(odd), "'" + strings.ReplaceAll(odd, "'", `'\''`) + "'", "https://user:" + url.QueryEscape(odd) + "@db/", "/" + url.PathEscape(odd), html.EscapeString(odd),
		"COMMAND=/bin/login " + strings.ReplaceAll(odd, `\`, `\\`), base64.URLEncoding.EncodeToString([]byte(odd + odd)),
	} {
		got := m.Text(text)
		for _, part := range []string{"horse", "line-", "staple", "ss%", base64.RawStdEncoding.EncodeToString([]byte("ple"))} {
			if strings.Contains(got, part) || got == text || !strings.Contains(got, "[secret ") {
				t.Errorf("%q is kept as %q", text, got)
				break
			}
		}
	}
	if got := m.Text("port 1234"); got != "port 1234" {
		t.Errorf("what is too short for a secret is masked: %q", got)
	}
	if got := (providers.Mask{}).Text(password); got != password {
		t.Errorf("without secrets %q becomes %q", password, got)
	}
}

func TestSecretsTooShortToBeTakenOutAreNamed(t *testing.T) {
	c := &providers.Core{Secrets: secretsOf(map[string]string{"PIN": "123\n", "PASSWORD": "correct-horse", "EMPTY": "", "FLAG": "x"})}
	if got, want := c.Unmasked(), []string{"FLAG", "PIN"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
