// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel/evenkeel/providers"
)

// ops are the names under which latency and failures are ordered.
var ops = []string{"check", "put_image", "put_machine", "list_machines", "list_envs", "delete_machine", "delete_env",
	"start_machine", "stop_machine", "suspend_machine", "resume_machine", "save_snapshot", "list_snapshots", "restore_snapshot", "delete_snapshot", "console", "list_images", "delete_image", "diagnose"}

// config is the provider's block of a tier.
type config struct {
	World   string              `json:"world"`             // absolute path of the directory; made when something is first put into it
	Latency map[string]duration `json:"latency,omitempty"` // by op: how long it takes at least; put_machine, save_snapshot and restore_snapshot wait half of it when half is done
	Fail    map[string]failure  `json:"fail,omitempty"`    // by op: its first calls fail
	HTTP    []int               `json:"http,omitempty"`    // ports on which every machine answers GET with its name
	Boot    duration            `json:"boot,omitempty"`    // from a machine's start until its SSH server listens

	SilentSSH    bool `json:"silent_ssh,omitempty"`     // machines accept connections and never say a word
	WrongHostKey bool `json:"wrong_host_key,omitempty"` // machines show a host key and certificate of another authority
}

// failure is an ordered one. Times counts over all processes that share the world.
type failure struct {
	Code    providers.Code `json:"code"`
	Message string         `json:"message,omitempty"`
	Times   int            `json:"times,omitempty"` // default 1
}

// duration is a time.Duration written "50ms".
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("got %s, allowed is a duration such as \"50ms\"", b)
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 || v > time.Hour {
		return fmt.Errorf("got %q, allowed is a duration such as \"50ms\", at most 1h", s)
	}
	*d = duration(v)
	return nil
}

func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

func decodeConfig(raw json.RawMessage) (config, error) {
	var c config
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = json.RawMessage("{}")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("there is something after the configuration")
	}
	return c, c.validate()
}

func (c config) validate() error {
	if !filepath.IsAbs(c.World) {
		return fmt.Errorf("world is %q, needed is the absolute path of a directory", c.World)
	}
	for op := range c.Latency {
		if !slices.Contains(ops, op) {
			return fmt.Errorf("latency: unknown operation %q, allowed are %s", op, strings.Join(ops, ", "))
		}
	}
	for op, f := range c.Fail {
		if !slices.Contains(ops, op) {
			return fmt.Errorf("fail: unknown operation %q, allowed are %s", op, strings.Join(ops, ", "))
		}
		if !slices.Contains(providers.Codes, f.Code) {
			return fmt.Errorf("fail: %s: unknown code %q, allowed are %v", op, f.Code, providers.Codes)
		}
		if f.Times < 0 || f.Times > 1000 {
			return fmt.Errorf("fail: %s: times is %d, allowed is 0 to 1000", op, f.Times)
		}
	}
	for _, p := range c.HTTP {
		if p < 1 || p > 65535 {
			return fmt.Errorf("http: got port %d, allowed is 1 to 65535", p)
		}
	}
	return nil
}
