// SPDX-License-Identifier: Apache-2.0

package envs

import "github.com/evenkeel/evenkeel/internal/strictyaml"

// What a definition may say, with what a later version will know.
var (
	topKeys = strictyaml.Keys{
		Now: []string{"evenkeel", "name", "id", "image", "settings", "secrets", "access", "tls", "snapshots", "machines", "default", "tiers", "parity"},
	}
	accessKeys    = strictyaml.Keys{Now: []string{"user", "keys", "user_ca"}}
	secretKeys    = strictyaml.Keys{Now: []string{"env", "command", "file", "sops", "key"}}
	snapshotsKeys = strictyaml.Keys{Now: []string{"keep"}}
	keepKeys      = strictyaml.Keys{Now: []string{"hourly", "daily", "weekly", "monthly"}}
	kindKeys      = strictyaml.Keys{
		Now: []string{
			"count", "image", "cpus", "memory", "disk", "allow", "health", "stateless", "data", "code", "settings", "secrets", "rebuild",
			"rebuild_after",
		},
		Later: []string{"services", "protected", "snapshots"},
	}
	ruleKeys    = strictyaml.Keys{Now: []string{"from", "port", "proto"}}
	healthKeys  = strictyaml.Keys{Now: []string{"http", "tcp", "exec", "within"}}
	dataKeys    = strictyaml.Keys{Now: []string{"name", "size", "mount"}}
	codeKeys    = strictyaml.Keys{Now: []string{"from", "to"}}
	rebuildKeys = strictyaml.Keys{Now: []string{"order", "downtime"}}
	tierKeys    = strictyaml.Keys{
		Now:   []string{"provider", "config", "settings", "secrets", "access", "protected", "machines", "publish", "ttl", "rebuild_after", "audit"},
		Later: []string{"via", "rebuild", "parity", "snapshots"},
	}
	overrideKeys = strictyaml.Keys{
		Now: []string{"external", "count", "cpus", "memory", "disk", "data", "settings", "secrets", "rebuild", "rebuild_after"},
	}
)
