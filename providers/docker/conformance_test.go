// SPDX-License-Identifier: Apache-2.0

package docker_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/hashicorp/go-hclog"

	"github.com/evenkeel/evenkeel/providers/docker"
	"github.com/evenkeel/evenkeel/test/conformance"
)

// TestConformance runs against this computer's docker.
func TestConformance(t *testing.T) {
	conformance.Require(t, "docker", reach(t))
	conformance.Run(t, conformance.Harness{
		Plugin:       docker.Plugin(),
		Config:       json.RawMessage(`{"subnets": "10.215.0.0/20"}`),
		Image:        conformance.SmallImage(t, docker.Plugin().Formats),
		BootDeadline: 10 * time.Minute, // half a second on an idle computer, half a minute in a busy virtual machine
		Leaks:        func() []string { return leaks(t) },
		BadConfig: []json.RawMessage{
			json.RawMessage(`{"host": "fd://3"}`),
			json.RawMessage(`{"host": "unix://elsewhere/docker.sock"}`),
			json.RawMessage(`{"host": "ssh://-oProxyCommand=x"}`),
			json.RawMessage(`{"host": 7}`),
			json.RawMessage(`{"subnets": "10.214.0.0"}`),
			json.RawMessage(`{"subnets": "8.8.0.0/16"}`),
			json.RawMessage(`{"subnets": "10.214.0.0/25"}`),
			json.RawMessage(`{} {}`),
		},
	})
}

// reach says why the tests that start containers cannot run, or nil.
func reach(t *testing.T) error {
	if os.Getenv("EVENKEEL_TEST_REAL") == "" {
		return errors.New("EVENKEEL_TEST_REAL is not set")
	}
	p, err := docker.Plugin().Open(t.Context(), nil, hclog.NewNullLogger())
	if err != nil {
		return err
	}
	return p.Close()
}

// daemon is this computer's, by the client's own means.
func daemon(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// leaks lists what could stay behind, by name: whatever has ours, with or without our labels.
func leaks(t *testing.T) (list []string) {
	t.Helper()
	c := daemon(t)
	defer func() { _ = c.Close() }()
	ctx := context.WithoutCancel(t.Context()) // also after the test
	containers, err := c.ContainerList(ctx, container.ListOptions{All: true})
	if err != nil {
		t.Error(err)
	}
	for _, b := range containers {
		list = append(list, "container "+strings.Join(b.Names, " "))
	}
	networks, err := c.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		t.Error(err)
	}
	for _, n := range networks {
		list = append(list, "network "+n.Name)
	}
	volumes, err := c.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		t.Error(err)
	}
	for _, v := range volumes.Volumes {
		list = append(list, "volume "+v.Name)
	}
	return slices.DeleteFunc(list, func(s string) bool { return !strings.Contains(s, "evenkeel") || !strings.Contains(s, "_conf") })
}
