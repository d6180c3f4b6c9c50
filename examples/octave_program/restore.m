% Unsharp masking: restore.m INPUT OUTPUT, both PPM files with 16 bits per channel.
% It needs nothing but GNU Octave itself. In MATLAB, make it a function of both names.
1;

function picture = read_ppm (name)
  file = fopen (name, 'r', 'ieee-be');
  sizes = fscanf (file, 'P6 %d %d %d', 3);
  fread (file, 1);  % the one space behind the header
  levels = fread (file, 3 * sizes(1) * sizes(2), 'uint16');
  fclose (file);
  % Colours change fastest in the file, then columns, then rows.
  picture = permute (reshape (levels, 3, sizes(1), sizes(2)), [3 2 1]) / sizes(3);
end

function write_ppm (name, picture)
  levels = round (65535 * min (max (picture, 0), 1));
  file = fopen (name, 'w', 'ieee-be');
  fprintf (file, 'P6\n%d %d\n65535\n', size (picture, 2), size (picture, 1));
  fwrite (file, permute (levels, [3 2 1]), 'uint16');
  fclose (file);
end

function smooth = blur (picture, sigma)
  reach = ceil (4 * sigma);
  taps = exp (-(-reach:reach) .^ 2 / (2 * sigma ^ 2));
  weight = conv2 (taps, taps, ones (size (picture, 1), size (picture, 2)), 'same');
  for colour = 1:3
    smooth(:, :, colour) = conv2 (taps, taps, picture(:, :, colour), 'same') ./ weight;
  end
end

names = argv ();
picture = read_ppm (names{1});
write_ppm (names{2}, picture + (picture - blur (picture, 2)));
