// SPDX-License-Identifier: Apache-2.0

// Package plugin carries the provider contract between processes: go-plugin, gRPC, real messages.
// It is the only package that knows either. The one rule: a provider cannot tell whether it is called directly or through here.
package plugin

import (
	goplugin "github.com/hashicorp/go-plugin"
)

// ProtocolVersion rises when an older side would misread the messages; fields may be added without. Sides of two versions refuse each other.
const ProtocolVersion = 1

// handshake keeps a plugin that is started by hand from waiting for a client. It is no secret.
func handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{ProtocolVersion: ProtocolVersion, MagicCookieKey: "EVENKEEL_PLUGIN", MagicCookieValue: "provider"}
}

// pluginKey names our one service among those of a go-plugin connection.
const pluginKey = "provider"

// envLogLevel tells the plugin process how much the host would show.
const envLogLevel = "EVENKEEL_PLUGIN_LOG"
