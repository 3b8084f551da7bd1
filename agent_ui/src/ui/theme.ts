import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const petrol: MantineColorsTuple = [
  "#e8f8fa",
  "#d2ecf0",
  "#a5d8e1",
  "#74c3d1",
  "#4db1c3",
  "#35a5ba",
  "#1f8fa5",
  "#127d92",
  "#0b7285",
  "#085361",
];

export const theme = createTheme({
  colors: { petrol },
  primaryColor: "petrol",
  primaryShade: { light: 8, dark: 7 },
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif',
  headings: { fontWeight: "650" },
  components: {
    Modal: { styles: { title: { fontWeight: 650 } } },
  },
});

/** Mantine's quiet greys and tinted badges miss WCAG AA's 4.5 : 1; these meet it. */
export const variables: CSSVariablesResolver = ({ colors }) => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#5b646d",
    "--mantine-color-placeholder": "#6b757e",
    "--mantine-color-error": colors.red[9],
    "--mantine-color-red-text": colors.red[9],
    "--mantine-color-red-light-color": "#9d1c1c",
    "--mantine-color-green-light-color": "#1c5e2b",
    "--mantine-color-yellow-light-color": "#7a4600",
    "--mantine-color-orange-outline": "#a63f00",
    "--mantine-color-gray-light-color": colors.gray[8],
  },
  dark: {
    "--mantine-color-dimmed": "#a6a7ab",
    "--mantine-color-placeholder": "#96979c",
    "--mantine-color-red-filled": colors.red[8],
    "--mantine-color-error": colors.red[4],
    "--mantine-color-red-text": colors.red[4],
  },
});
