// Package wire stands between a client and the API server. Every request passes taps, which count
// it, delay it, or lose it or its reply.
//
// Our own clients pass the taps by their configuration (Through). Programs that are not ours, PAC's
// watcher for one, pass them in a Relay: a proxy in front of the API server that their kubeconfig
// points to.
package wire
