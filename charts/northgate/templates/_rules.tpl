{{- define "northgate.rules" -}}
- {apiGroups: [northgate.dev], resources: [edgegateways, routes, upstreams, referencegrants], verbs: [get, list, watch]}
- {apiGroups: [northgate.dev], resources: [edgegateways/status, routes/status, upstreams/status], verbs: [get, patch, update]}
- {apiGroups: [northgate.dev], resources: [edgegateways/finalizers], verbs: [update]}
- {apiGroups: [gateway.networking.k8s.io], resources: [referencegrants], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [services, configmaps, serviceaccounts], verbs: &write [get, list, watch, create, update, patch, delete]}
- {apiGroups: [apps], resources: [deployments, daemonsets], verbs: *write}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: *write}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: *write}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: *write}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
{{- end }}
{{- define "northgate.secrets" -}}
- {apiGroups: [""], resources: [secrets], verbs: [get, list, watch, create, update, patch, delete]}
{{- end }}
{{- define "northgate.own" -}}
{{ include "northgate.secrets" . }}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update, patch]}
{{- end }}
{{- define "northgate.grant" }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .scope }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
rules:
{{ .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .scope }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ .scope }}Role, name: {{ .name }}}
subjects: [{kind: ServiceAccount, name: northgate, namespace: {{ .own }}}]
{{- end }}
