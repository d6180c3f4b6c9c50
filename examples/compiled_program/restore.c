/* Unsharp masking: restore INPUT OUTPUT, both PPM files with 16 bits per channel. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SIGMA 2.0
#define REACH 8

typedef struct {
    int width, height;
    double *values; /* height x width x 3, in [0, 1] */
} Picture;

static void stop(const char *reason) {
    fprintf(stderr, "restore: %s\n", reason);
    exit(1);
}

static Picture allocate(int width, int height) {
    Picture picture = {width, height, malloc(sizeof(double) * 3 * width * height)};
    if (!picture.values) stop("out of memory");
    return picture;
}

static Picture read_ppm(const char *name) {
    int width, height, top;
    FILE *file = fopen(name, "rb");
    if (!file) stop("the input cannot be opened");
    if (fscanf(file, "P6 %d %d %d", &width, &height, &top) != 3 || top != 65535) {
        stop("the input is not a PPM of 16 bits");
    }
    fgetc(file); /* the one space behind the header */
    Picture picture = allocate(width, height);
    for (long i = 0; i < 3L * width * height; i++) {
        int high = fgetc(file), low = fgetc(file);
        if (low == EOF) stop("the input is too short");
        picture.values[i] = (256 * high + low) / 65535.0;
    }
    fclose(file);
    return picture;
}

static void write_ppm(const char *name, Picture picture) {
    FILE *file = fopen(name, "wb");
    if (!file) stop("the output cannot be written");
    fprintf(file, "P6\n%d %d\n65535\n", picture.width, picture.height);
    for (long i = 0; i < 3L * picture.width * picture.height; i++) {
        double value = fmin(fmax(picture.values[i], 0.0), 1.0);
        int level = (int)(65535 * value + 0.5);
        fputc(level >> 8, file);
        fputc(level & 255, file);
    }
    if (fclose(file)) stop("the output cannot be written");
}

/* Blur along an axis: `step` values lie between neighbours, and a line holds `count` of them. */
static void blur_line(const double *line, double *smooth, int count, int step) {
    for (int at = 0; at < count; at++) {
        double sum = 0, weight = 0;
        for (int shift = -REACH; shift <= REACH; shift++) {
            if (at + shift < 0 || at + shift >= count) continue;
            double tap = exp(-shift * shift / (2 * SIGMA * SIGMA));
            sum += tap * line[(long)(at + shift) * step];
            weight += tap;
        }
        smooth[(long)at * step] = sum / weight;
    }
}

int main(int count, char **names) {
    if (count != 3) stop("expected INPUT and OUTPUT");
    Picture picture = read_ppm(names[1]);
    Picture rows = allocate(picture.width, picture.height);
    Picture smooth = allocate(picture.width, picture.height);
    int row_step = 3 * picture.width;
    for (int colour = 0; colour < 3; colour++) {
        for (int y = 0; y < picture.height; y++) {
            long start = (long)y * row_step + colour;
            blur_line(picture.values + start, rows.values + start, picture.width, 3);
        }
        for (int x = 0; x < picture.width; x++) {
            long start = 3L * x + colour;
            blur_line(rows.values + start, smooth.values + start, picture.height, row_step);
        }
    }
    for (long i = 0; i < (long)row_step * picture.height; i++) {
        picture.values[i] += picture.values[i] - smooth.values[i];
    }
    write_ppm(names[2], picture);
    return 0;
}
