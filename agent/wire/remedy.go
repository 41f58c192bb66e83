// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// interfaceByName is net.InterfaceByName with ENODEV where there is none.
func interfaceByName(name string) (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, unix.ENODEV
}

// remedy says what to do about an error on the interface, where that is known.
func remedy(ifname string, err error) error {
	switch {
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%w: set the interface up (ip link set dev %s up)", err, ifname)
	case errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w: this node has no interface %s now: plug it in or create it, or name another one in the pool's interfaces", err, ifname)
	case errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: raise the limit of open files of the container (ulimit -n)", err)
	}
	return err
}
