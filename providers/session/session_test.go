// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"strings"
	"testing"

	"github.com/evenkeel/evenkeel/envs"
	"github.com/evenkeel/evenkeel/providers/session"
)

func TestRemoteTiersAreNeitherDefaultNorChangedLocally(t *testing.T) {
	for _, tt := range []struct {
		def   envs.Definition
		plan  envs.Plan
		local bool
		want  string
	}{
		{envs.Definition{}, envs.Plan{Tier: "staging"}, false, ""},
		{envs.Definition{Default: "laptop"}, envs.Plan{Tier: "laptop"}, true, ""},
		{envs.Definition{Default: "laptop"}, envs.Plan{Tier: "staging"}, false, ""},
		{envs.Definition{Default: "staging"}, envs.Plan{Tier: "staging", Provider: "cloud"}, false, "cannot use tier staging as the default: provider cloud is not on this computer"},
		{envs.Definition{}, envs.Plan{Tier: "staging", Provider: "cloud", Local: "/p/env.local.yaml"}, false, "cannot use /p/env.local.yaml: it changes tier staging"},
		{envs.Definition{}, envs.Plan{Tier: "laptop", Local: "/p/env.local.yaml"}, true, ""},
	} {
		err := session.CheckLocal(&tt.def, &tt.plan, tt.local)
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%+v, local %v: got %v, want %q", tt.plan, tt.local, err, tt.want)
		}
	}
}
