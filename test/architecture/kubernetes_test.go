package architecture

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// selector chooses pods or namespaces by their labels.
type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

// manifest is what deploy/kubernetes uses of Kubernetes' objects, and nothing else: a member
// that is misspelt, or stands at the wrong place, has no field here.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name, Namespace string
		Labels          map[string]string
	}
	AutomountToken *bool `yaml:"automountServiceAccountToken"`
	Spec           struct {
		Replicas int
		Selector yaml.Node // labels of a Service, a selector elsewhere
		Strategy struct {
			Type          string
			RollingUpdate struct {
				MaxSurge       int `yaml:"maxSurge"`
				MaxUnavailable int `yaml:"maxUnavailable"`
			} `yaml:"rollingUpdate"`
		}
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
		Ports []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		MinAvailable int      `yaml:"minAvailable"`
		PodSelector  selector `yaml:"podSelector"`
		PolicyTypes  []string `yaml:"policyTypes"`
		Ingress      []struct {
			From []struct {
				NamespaceSelector selector `yaml:"namespaceSelector"`
			}
			Ports []struct{ Port string }
		}
	}
}

type pod struct {
	ServiceAccount string `yaml:"serviceAccountName"`
	AutomountToken *bool  `yaml:"automountServiceAccountToken"`
	ServiceLinks   *bool  `yaml:"enableServiceLinks"`
	GracePeriod    int    `yaml:"terminationGracePeriodSeconds"`
	Security       struct {
		NonRoot bool                  `yaml:"runAsNonRoot"`
		User    int                   `yaml:"runAsUser"`
		Group   int                   `yaml:"runAsGroup"`
		FSGroup int                   `yaml:"fsGroup"`
		Seccomp struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Spread []struct {
		MaxSkew       int      `yaml:"maxSkew"`
		TopologyKey   string   `yaml:"topologyKey"`
		Unsatisfiable string   `yaml:"whenUnsatisfiable"`
		LabelSelector selector `yaml:"labelSelector"`
	} `yaml:"topologySpreadConstraints"`
	Containers []container
	Volumes    []struct {
		Name   string
		Secret *struct {
			Name string `yaml:"secretName"`
			Mode int    `yaml:"defaultMode"`
		}
		EmptyDir *struct {
			Medium    string
			SizeLimit string `yaml:"sizeLimit"`
		} `yaml:"emptyDir"`
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	Period  int                         `yaml:"periodSeconds"`
	Timeout int                         `yaml:"timeoutSeconds"`
	Failure int                         `yaml:"failureThreshold"`
}

type container struct {
	Name, Image string
	Ports       []struct {
		Name string
		Port int `yaml:"containerPort"`
	}
	Env       []struct{ Name, Value string }
	Startup   probe `yaml:"startupProbe"`
	Liveness  probe `yaml:"livenessProbe"`
	Readiness probe `yaml:"readinessProbe"`
	Lifecycle struct {
		PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
	}
	Resources struct{ Requests, Limits map[string]string }
	Security  struct {
		ReadOnly     bool  `yaml:"readOnlyRootFilesystem"`
		Escalation   *bool `yaml:"allowPrivilegeEscalation"`
		Privileged   bool
		Capabilities struct{ Add, Drop []string }
	} `yaml:"securityContext"`
	Mounts []struct {
		Name     string
		Path     string `yaml:"mountPath"`
		ReadOnly bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

func readManifests(t *testing.T) map[string]manifest {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(readText(t, "deploy/kubernetes/menshen.yaml")))
	decoder.KnownFields(true)
	objects := map[string]manifest{}
	for {
		var m manifest
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		objects[m.APIVersion+" "+m.Kind+" "+m.Metadata.Name] = m
		if m.Metadata.Namespace != "menshen" {
			t.Errorf("%s %s is in the namespace %q", m.Kind, m.Metadata.Name, m.Metadata.Namespace)
		}
	}
}

// TestKubernetes: the manifests hold together, the program starts with what they give it, and a
// pod is as closed as the unit and the containers of compose.yaml are.
func TestKubernetes(t *testing.T) {
	atTop(t)
	objects := readManifests(t)
	deployment, pods := objects["apps/v1 Deployment menshen"], map[string]string{"app": "menshen"}
	for name, want := range map[string]string{
		"v1 Service menshen": "http", "v1 Service menshen-admin": "admin", "apps/v1 Deployment menshen": "", "policy/v1 PodDisruptionBudget menshen": "",
		"networking.k8s.io/v1 NetworkPolicy menshen": "", "v1 ServiceAccount menshen": "",
	} {
		object, there := objects[name]
		if !there || len(objects) != 6 {
			t.Fatalf("%s is missing, there are %d", name, len(objects))
		}
		var chosen struct{ App string }
		var by struct {
			MatchLabels struct{ App string } `yaml:"matchLabels"`
		}
		switch object.Kind {
		case "Service":
			if err := object.Spec.Selector.Decode(&chosen); err != nil || chosen.App != pods["app"] || len(object.Spec.Ports) != 1 || object.Spec.Ports[0].TargetPort != want {
				t.Errorf("%s: selects %q, ports %+v, error %v", name, chosen.App, object.Spec.Ports, err)
			}
		case "Deployment", "PodDisruptionBudget":
			if err := object.Spec.Selector.Decode(&by); err != nil || by.MatchLabels.App != pods["app"] {
				t.Errorf("%s: selects %+v, error %v", name, by, err)
			}
		}
	}
	rolling := deployment.Spec.Strategy.RollingUpdate
	if deployment.Spec.Template.Metadata.Labels["app"] != pods["app"] || deployment.Spec.Replicas < 2 || rolling.MaxUnavailable != 0 || rolling.MaxSurge < 1 {
		t.Errorf("the deployment is %+v", deployment.Spec)
	}
	policy := objects["networking.k8s.io/v1 NetworkPolicy menshen"].Spec
	if len(policy.Ingress) != 2 || policy.PodSelector.MatchLabels["app"] != pods["app"] || !slices.Equal(policy.PolicyTypes, []string{"Ingress"}) {
		t.Errorf("the policy is %+v", policy)
	}
	for _, rule := range policy.Ingress {
		if len(rule.Ports) != 1 || len(rule.From) == 0 {
			t.Errorf("a rule of the policy is open: %+v", rule)
		}
	}
	if token := objects["v1 ServiceAccount menshen"].AutomountToken; token == nil || *token {
		t.Error("the account's token is mounted")
	}
	wantPodStarts(t, deployment.Spec.Template.Spec)
	wantPodClosed(t, deployment.Spec.Template.Spec)
}

// wantPodStarts: the settings load as the program would load them, with its secrets where they
// are mounted, and the ports, probes and times fit the program.
func wantPodStarts(t *testing.T, p pod) {
	t.Helper()
	if len(p.Containers) != 1 {
		t.Fatalf("%d containers", len(p.Containers))
	}
	c, variables, secrets := p.Containers[0], map[string]string{}, []string(nil)
	for _, variable := range c.Env {
		variables[variable.Name] = variable.Value
		if secret, given := strings.CutPrefix(variable.Value, "/run/secrets/"); given {
			secrets = append(secrets, secret)
		}
	}
	told, _, _ := strings.Cut(string(readText(t, "deploy/kubernetes/menshen.yaml")), "apiVersion:")
	for _, secret := range secrets {
		if !strings.Contains(told, "--from-file="+secret) {
			t.Errorf("the comment makes no secret %s", secret)
		}
	}
	cfg := composed(t, variables, secrets)
	if !cfg.Production() || cfg.Database.Driver != "mysql" || len(cfg.Clients) != 1 || len(cfg.Admin.Keys) != 1 || len(cfg.Server.AdminHosts) != 1 {
		t.Errorf("the settings are %s", cfg.Masked())
	}
	mounts := map[string]bool{} // read-only
	for _, mount := range c.Mounts {
		mounts[mount.Path] = mount.ReadOnly
	}
	if !mounts[cfg.KeyDir()] || !mounts["/run/secrets"] || filepath.IsAbs(cfg.Server.Addr) {
		t.Errorf("keys in %s, mounts %v", cfg.KeyDir(), mounts)
	}
	for i, addr := range []string{cfg.Server.Addr, cfg.Server.AdminAddr} {
		if port := c.Ports[i]; addr != ":"+strings.TrimSpace(yamlText(t, port.Port)) {
			t.Errorf("%s listens on %d, the program on %s", port.Name, port.Port, addr)
		}
	}
	for path, probes := range map[string][]probe{"/healthz": {c.Startup, c.Liveness}, "/readyz": {c.Readiness}} {
		for _, one := range probes {
			if one.HTTPGet.Path != path || one.HTTPGet.Port != "http" || one.Period < 1 || one.Failure < 2 {
				t.Errorf("a probe of %s is %+v", path, one)
			}
		}
	}
	const stop = 15 * time.Second // as compose.yaml and the unit give it
	if pause := c.Lifecycle.PreStop.Sleep.Seconds; pause < 1 || time.Duration(p.GracePeriod-pause)*time.Second < stop {
		t.Errorf("a stop has %d s, of them %d s before the signal", p.GracePeriod, pause)
	}
}

// wantPodClosed: a pod has no privilege, no token and no disk to write to.
func wantPodClosed(t *testing.T, p pod) {
	t.Helper()
	s, c := p.Security, p.Containers[0]
	if !s.NonRoot || s.User != 65532 || s.Group != 65532 || s.FSGroup != 65532 || s.Seccomp.Type != "RuntimeDefault" {
		t.Errorf("the pod runs as %+v", s)
	}
	if p.AutomountToken == nil || *p.AutomountToken || p.ServiceLinks == nil || *p.ServiceLinks {
		t.Error("the pod has a token, or variables of other services")
	}
	k := c.Security
	if !k.ReadOnly || k.Escalation == nil || *k.Escalation || k.Privileged || len(k.Capabilities.Add) > 0 || !slices.Equal(k.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("the container is %+v", k)
	}
	if c.Resources.Limits["memory"] == "" || c.Resources.Requests["memory"] == "" {
		t.Errorf("its memory is %+v", c.Resources)
	}
	if strings.HasSuffix(c.Image, ":latest") || !strings.Contains(c.Image, ":") {
		t.Errorf("the image %s is of no version", c.Image)
	}
	for _, volume := range p.Volumes {
		switch {
		case volume.Secret != nil && volume.Secret.Mode == 0o440:
		case volume.EmptyDir != nil && volume.EmptyDir.Medium == "Memory" && volume.EmptyDir.SizeLimit != "":
		default:
			t.Errorf("the volume %s keeps something on a disk, or is open", volume.Name)
		}
	}
}

// yamlText is the value as YAML writes it.
func yamlText(t *testing.T, value any) string {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
