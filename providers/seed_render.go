// SPDX-License-Identifier: Apache-2.0

package providers

// Tar renders the seed as an uncompressed tar of files to lay over / before the network and sshd start, with networkd files for
// nics and the machine id (32 hex digits). Owners are root, times zero. Deterministic.
func (s Seed) Tar(machineID string, nics []NIC) ([]byte, error) { return nil, errTODO }

// UserData renders the seed as cloud-config of at most 16 KiB.
func (s Seed) UserData() ([]byte, error) { return nil, errTODO }

// NetworkConfig renders nics as cloud-init's network configuration, version 2.
func NetworkConfig(nics []NIC) ([]byte, error) { return nil, errTODO }
