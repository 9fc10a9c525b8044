package admission

import (
	"crypto/tls"
	"crypto/x509"
	"sync"

	corelisters "k8s.io/client-go/listers/core/v1"
	"knative.dev/pkg/webhook/certificates/resources"
)

// pair is a certificate with its key, and the authority that vouches for it.
type pair struct {
	tls.Certificate
	authority []byte
}

// read reads what knative.dev/pkg has put into a Secret.
func read(data map[string][]byte) (*pair, error) {
	certificate, err := tls.X509KeyPair(data[resources.ServerCert], data[resources.ServerKey])
	if err != nil {
		return nil, err
	}
	if certificate.Leaf == nil {
		if certificate.Leaf, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
			return nil, err
		}
	}
	return &pair{Certificate: certificate, authority: data[resources.CACert]}, nil
}

// shown is the certificate that this replica shows: the one in the Secret, or the
// last that was there if somebody has deleted or broken it. The API server trusts
// that one until some time after there is another.
type shown struct {
	secrets corelisters.SecretNamespaceLister
	name    string

	mu      sync.Mutex
	current *pair
	version string // of the Secret that it was in
}

func (s *shown) last() (*pair, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, err := s.secrets.Get(s.name)
	if err == nil && secret.ResourceVersion != s.version {
		var now *pair
		if now, err = read(secret.Data); err == nil {
			s.current, s.version = now, secret.ResourceVersion
		}
	}
	if s.current != nil {
		return s.current, nil
	}
	return nil, err
}

// certificate is tls.Config.GetCertificate.
func (s *shown) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	last, err := s.last()
	if err != nil {
		return nil, err
	}
	return &last.Certificate, nil
}
