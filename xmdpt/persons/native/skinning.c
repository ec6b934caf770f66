/* Moves vertices with their bones, and finds the normals of a mesh. */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* rest, posed: [count, 3]; bones, weights: [count, influences], heaviest first; transforms: [bones, 3, 4]. */
void skin_vertices(int count, int influences, const float *rest, const uint8_t *bones, const float *weights,
                   const float *transforms, float *posed) {
  for (int v = 0; v < count; v++) {
    float blended[12] = {0};
    for (int i = 0; i < influences; i++) {
      float weight = weights[v * influences + i];
      if (weight == 0) break;
      const float *transform = transforms + 12 * bones[v * influences + i];
      for (int j = 0; j < 12; j++) blended[j] += weight * transform[j];
    }
    const float *point = rest + 3 * v;
    for (int row = 0; row < 3; row++) {
      const float *m = blended + 4 * row;
      posed[3 * v + row] = m[0] * point[0] + m[1] * point[1] + m[2] * point[2] + m[3];
    }
  }
}

/* Unit normals of the vertices, weighted by the triangles' areas. */
void vertex_normals(int num_vertices, const float *vertices, int num_triangles, const int32_t *triangles,
                    float *normals) {
  memset(normals, 0, sizeof(float) * 3 * num_vertices);
  for (int t = 0; t < num_triangles; t++) {
    const int32_t *corners = triangles + 3 * t;
    const float *a = vertices + 3 * corners[0], *b = vertices + 3 * corners[1], *c = vertices + 3 * corners[2];
    float e[3], f[3];
    for (int i = 0; i < 3; i++) {
      e[i] = b[i] - a[i];
      f[i] = c[i] - a[i];
    }
    const float cross[3] = {e[1] * f[2] - e[2] * f[1], e[2] * f[0] - e[0] * f[2], e[0] * f[1] - e[1] * f[0]};
    for (int corner = 0; corner < 3; corner++)
      for (int i = 0; i < 3; i++) normals[3 * corners[corner] + i] += cross[i];
  }
  for (int v = 0; v < num_vertices; v++) {
    float *n = normals + 3 * v;
    float length = sqrtf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + 1e-12f;
    for (int i = 0; i < 3; i++) n[i] /= length;
  }
}
